"""Reassembly as plain functions of tensors."""

from a2u.upsampling.ops.reassembly import reassemble_down, reassemble_up

__all__ = ["reassemble_down", "reassemble_up"]
