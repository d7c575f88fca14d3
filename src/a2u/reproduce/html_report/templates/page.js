"use strict";

// Tables: a heading sorts up, down, back to the paper's order.
const NEXT = { ascending: "descending", descending: null };
for (const table of document.querySelectorAll(".scroll table")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  for (const button of table.querySelectorAll(".sort")) {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      const current = head.getAttribute("aria-sort");
      const order = current === null ? "ascending" : NEXT[current];
      for (const other of table.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
      if (order !== null) head.setAttribute("aria-sort", order);
      body.append(...(order === null ? original : sorted(original, head, order)));
    });
  }
}

// Rows without a value stand last either way.
function sorted(rows, head, order) {
  const key = (row) => row.cells[head.cellIndex].dataset.key;
  const isNumber = "number" in head.dataset;
  const sign = order === "ascending" ? 1 : -1;
  return [...rows].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
    return sign * (isNumber ? x - y : x.localeCompare(y));
  });
}

// Numbers: one stop of the Tab key a table, arrow keys among them.
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
for (const body of document.querySelectorAll(".scroll tbody")) {
  const values = [...body.querySelectorAll(".value")];
  values.forEach((value, index) => { value.tabIndex = index ? -1 : 0; });
  body.addEventListener("focusin", (event) => {
    if (!event.target.matches(".value")) return;
    for (const value of values) value.tabIndex = -1;
    event.target.tabIndex = 0;
  });
  body.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (!step || !event.target.matches(".value")) return;
    event.preventDefault();
    const cell = event.target.closest("td");
    let [row, column] = [[...body.rows].indexOf(cell.parentElement), cell.cellIndex];
    let next;
    do {
      [row, column] = [row + step[0], column + step[1]];
      next = body.rows[row]?.cells[column];
    } while (next && !next.querySelector(".value"));
    next?.querySelector(".value").focus();
  });
}

// Provenance: shown where a number is pointed at or focused; a click keeps it open.
let opener = null;
let kept = false;
let closing = false;
let timer = 0;

const recordOf = (value) => document.getElementById(value.getAttribute("popovertarget"));
const isOpen = (record) => record.matches(":popover-open");

function show(value) {
  clearTimeout(timer);
  if (kept && opener !== value && opener && isOpen(recordOf(opener))) return;
  opener?.removeAttribute("data-open");
  opener = value;
  opener.dataset.open = "";
  if (!isOpen(recordOf(value))) recordOf(value).showPopover();
  place();
}

// Of whichever number is open by then: the pointer may have touched others on its way.
function hideSoon() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    if (!opener || kept) return;
    const record = recordOf(opener);
    const inUse = record.matches(":hover, :focus-within") || opener.matches(":hover, :focus");
    if (isOpen(record) && !inUse) record.hidePopover();
  }, 200);
}

function place() {
  if (!opener) return;
  const record = recordOf(opener);
  record.style.left = record.style.top = record.style.maxHeight = "";
  if (matchMedia("(max-width: 44rem)").matches) return; // at the bottom of a phone
  const at = opener.getBoundingClientRect();
  const [above, below] = [at.top - 16, innerHeight - at.bottom - 16];
  const isBelow = record.offsetHeight <= below || below >= above;
  record.style.maxHeight = `${Math.max(120, Math.min(record.offsetHeight, isBelow ? below : above))}px`;
  record.style.left = `${Math.max(16, Math.min(at.left, innerWidth - record.offsetWidth - 16))}px`;
  const top = isBelow ? at.bottom + 8 : at.top - record.offsetHeight - 8;
  record.style.top = `${Math.min(Math.max(8, top), innerHeight - record.offsetHeight - 8)}px`; // the number may be out of sight
}

for (const value of document.querySelectorAll(".value")) {
  value.addEventListener("pointerenter", (event) => {
    if (event.pointerType !== "mouse") return;
    clearTimeout(timer);
    timer = setTimeout(() => show(value), 150);
  });
  value.addEventListener("pointerleave", hideSoon);
  value.addEventListener("focus", () => { if (!closing) show(value); });
  value.addEventListener("blur", hideSoon);
  value.addEventListener("click", () => { kept = false; show(value); kept = true; });
  value.addEventListener("keydown", (event) => { if (event.key.startsWith("Arrow")) kept = false; });
}
for (const record of document.querySelectorAll(".record")) {
  record.addEventListener("pointerleave", hideSoon);
  record.addEventListener("beforetoggle", (event) => {
    if (event.newState !== "closed" || !opener || record !== recordOf(opener)) return;
    kept = false;
    closing = true; // the focus goes back to the number, which must not open it again
    setTimeout(() => { closing = false; });
    opener.removeAttribute("data-open");
  });
}
addEventListener("scroll", (event) => { if (!event.target.closest?.(".record")) place(); }, { capture: true, passive: true });
addEventListener("resize", place);

// Pictures: the left one over the right one, up to the border.
for (const strip of document.querySelectorAll(".strip")) {
  const pictures = strip.querySelectorAll(".pictures img");
  const pair = strip.querySelector(".pair");
  const range = pair.querySelector("input");
  const choices = strip.querySelectorAll("select");
  const [left, right] = [new Image(), new Image()];
  const update = () => {
    [left, right].forEach((image, side) => {
      const chosen = pictures[choices[side].value];
      image.src = chosen.src;
      image.alt = `${choices[side].dataset.side}: ${chosen.alt}`;
    });
    pair.style.setProperty("--cut", `${range.value}%`);
    const names = [...choices].map((choice) => choice.selectedOptions[0].text);
    range.setAttribute("aria-valuetext", `${range.value} percent ${names[0]}, the rest ${names[1]}`);
  };
  pair.prepend(right, left);
  range.addEventListener("input", update);
  for (const choice of choices) choice.addEventListener("change", update);
  update();
  strip.querySelector(".compare").hidden = false;
}
