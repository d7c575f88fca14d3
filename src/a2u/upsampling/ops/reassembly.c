/* Reassembly with the channels innermost; geometry.py says what is computed. Each function makes the rows
   first .. last - 1 of its result, counted over samples, groups and the rows of a map, so that threads share them. */

typedef struct {
    long groups, channels;         /* of a group */
    long height, width;            /* of x */
    long h, w;                     /* of the grid of windows; y is h * up by w * up */
    long size, up, stride, padding;
    long kernel[6];                /* steps of (sample, group and tap, grid row, row inside, grid column, column inside) */
} Geometry;

enum { SAMPLE, TAP, ROW, IN_ROW, COLUMN, IN_COLUMN };

/* Where (sample, group) begins in maps (N, H, W, groups * channels) and in kernel */
static long map(const Geometry *g, long height, long width, long sample, long group) {
    return (sample * height * width * g->groups + group) * g->channels;
}

static long kernels(const Geometry *g, long sample, long group) {
    return sample * g->kernel[SAMPLE] + group * g->size * g->size * g->kernel[TAP];
}

/* Eight single-precision numbers, four of double precision, wherever they lie */
typedef REAL Vector __attribute__((vector_size(32), aligned(sizeof(REAL)), may_alias));
enum { LANES = sizeof(Vector) / sizeof(REAL) };

/* to = sum over terms of weight * pixel */
static void weighted_sum(REAL *to, long channels, long terms, const REAL *const *from, const REAL *weights) {
    long c = 0;
    for (; c + 4 * LANES <= channels; c += 4 * LANES) { /* four sums in registers hide each other's latency */
        Vector s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
        for (long t = 0; t < terms; t++) {
            const Vector *v = (const Vector *)(from[t] + c);
            s0 += weights[t] * v[0], s1 += weights[t] * v[1], s2 += weights[t] * v[2], s3 += weights[t] * v[3];
        }
        Vector *v = (Vector *)(to + c);
        v[0] = s0, v[1] = s1, v[2] = s2, v[3] = s3;
    }
    for (; c + LANES <= channels; c += LANES) {
        Vector sum = {0};
        for (long t = 0; t < terms; t++) sum += weights[t] * *(const Vector *)(from[t] + c);
        *(Vector *)(to + c) = sum;
    }
    for (; c < channels; c++) {
        REAL sum = 0;
        for (long t = 0; t < terms; t++) sum += weights[t] * from[t][c];
        to[c] = sum;
    }
}

void forward(const Geometry *g, const REAL *x, const REAL *kernel, REAL *y, long first, long last) {
    const long pixel = g->groups * g->channels, y_height = g->h * g->up, y_width = g->w * g->up;
    const REAL *seen[g->size * g->size];
    long taps[g->size * g->size];
    REAL used[g->size * g->size];
    for (long row = first; row < last; row++) {
        const long to_i = row % y_height, map_number = row / y_height;
        const long group = map_number % g->groups, sample = map_number / g->groups;
        const long top = to_i / g->up * g->stride - g->padding;
        const REAL *from = x + map(g, g->height, g->width, sample, group);
        const REAL *weights = kernel + kernels(g, sample, group) + to_i / g->up * g->kernel[ROW]
                              + to_i % g->up * g->kernel[IN_ROW];
        REAL *to = y + map(g, y_height, y_width, sample, group) + to_i * y_width * pixel;
        for (long j = 0; j < g->w; j++, weights += g->kernel[COLUMN]) {
            const long left = j * g->stride - g->padding;
            long terms = 0;
            for (long r = 0; r < g->size; r++) {
                if (top + r < 0 || top + r >= g->height) continue;
                const REAL *line = from + ((top + r) * g->width + left) * pixel;
                for (long q = 0; q < g->size; q++, line += pixel) {
                    if (left + q < 0 || left + q >= g->width) continue;
                    seen[terms] = line, taps[terms++] = (r * g->size + q) * g->kernel[TAP];
                }
            }
            for (long b = 0; b < g->up; b++, to += pixel) {
                for (long t = 0; t < terms; t++) used[t] = weights[b * g->kernel[IN_COLUMN] + taps[t]];
                weighted_sum(to, g->channels, terms, seen, used);
            }
        }
    }
}

/* dL/dx gathers kernel * dL/dy from every output that saw the position */
void backward_x(const Geometry *g, const REAL *grad, const REAL *kernel, REAL *grad_x, long first, long last) {
    const long pixel = g->groups * g->channels, y_height = g->h * g->up, y_width = g->w * g->up;
    const REAL *saw[g->size * g->size * g->up * g->up];
    REAL used[g->size * g->size * g->up * g->up];
    for (long row = first; row < last; row++) {
        const long i = row % g->height, map_number = row / g->height;
        const long group = map_number % g->groups, sample = map_number / g->groups;
        const REAL *from = grad + map(g, y_height, y_width, sample, group);
        const REAL *weights = kernel + kernels(g, sample, group);
        REAL *to = grad_x + map(g, g->height, g->width, sample, group) + i * g->width * pixel;
        for (long j = 0; j < g->width; j++, to += pixel) {
            long terms = 0;
            for (long r = (i + g->padding) % g->stride; r < g->size; r += g->stride) {
                const long grid_i = (i + g->padding - r) / g->stride;
                if (i + g->padding < r || grid_i >= g->h) continue;
                for (long q = (j + g->padding) % g->stride; q < g->size; q += g->stride) {
                    const long grid_j = (j + g->padding - q) / g->stride;
                    if (j + g->padding < q || grid_j >= g->w) continue;
                    const REAL *weight = weights + (r * g->size + q) * g->kernel[TAP] + grid_i * g->kernel[ROW]
                                         + grid_j * g->kernel[COLUMN];
                    for (long a = 0; a < g->up; a++, weight += g->kernel[IN_ROW]) {
                        const REAL *line = from + ((grid_i * g->up + a) * y_width + grid_j * g->up) * pixel;
                        for (long b = 0; b < g->up; b++, line += pixel)
                            saw[terms] = line, used[terms++] = weight[b * g->kernel[IN_COLUMN]];
                    }
                }
            }
            weighted_sum(to, g->channels, terms, saw, used);
        }
    }
}

/* dL/dkernel is the correlation of dL/dy with what the tap saw, over channels */
void backward_kernel(const Geometry *g, const REAL *grad, const REAL *x, REAL *grad_kernel, long first, long last) {
    const long channels = g->channels, pixel = g->groups * channels, y_height = g->h * g->up, y_width = g->w * g->up;
    for (long row = first; row < last; row++) {
        const long to_i = row % y_height, map_number = row / y_height;
        const long group = map_number % g->groups, sample = map_number / g->groups;
        const long top = to_i / g->up * g->stride - g->padding;
        const REAL *from = x + map(g, g->height, g->width, sample, group);
        const REAL *grads = grad + map(g, y_height, y_width, sample, group) + to_i * y_width * pixel;
        REAL *to = grad_kernel + kernels(g, sample, group) + to_i / g->up * g->kernel[ROW]
                   + to_i % g->up * g->kernel[IN_ROW];
        for (long j = 0; j < g->w; j++, to += g->kernel[COLUMN]) {
            const long left = j * g->stride - g->padding;
            for (long b = 0; b < g->up; b++, grads += pixel) {
                REAL *weight = to + b * g->kernel[IN_COLUMN];
                for (long r = 0; r < g->size; r++) {
                    const REAL *line = from + ((top + r) * g->width + left) * pixel;
                    for (long q = 0; q < g->size; q++, weight += g->kernel[TAP], line += pixel) {
                        REAL sum = 0;
                        if (top + r >= 0 && top + r < g->height && left + q >= 0 && left + q < g->width)
                            for (long c = 0; c < channels; c++) sum += grads[c] * line[c];
                        *weight = sum;
                    }
                }
            }
        }
    }
}
