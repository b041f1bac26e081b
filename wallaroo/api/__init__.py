"""The public application API: builder, decorators, configurations."""
