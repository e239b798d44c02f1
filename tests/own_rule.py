"""A rule as a user writes it, with any backward rule."""

from purecnn.rules import rule


def product(bwd):
    """x w, elementwise, with this backward rule."""

    @rule
    def product(x, w):
        return x * w

    @product.def_fwd
    def product_fwd(x, w):
        return x * w, (x, w)

    product.def_bwd(bwd)
    return product
