"""The open study of docs/study.md: carried out, published, told."""
