"""The compiled form of the pump: extension modules that pump/build.py writes.

Empty until that is run: `pip install` compiles nothing and needs no compiler.
"""
