"""Rules that are wrong on purpose, each with the fault that people really make, and the right ones beside them.

Every file holds one layer: its plain forward function, its backward rule written out with the faults marked where
they are made, and `RULES`, one `Wrong` per fault. Nothing here imports the package whose rules are being verified.
"""
