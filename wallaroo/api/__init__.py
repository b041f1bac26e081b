"""The public API for applications: builder, decorators, configurations."""
