"""The compiled form of the pump lies here: extension modules of pump and its neighbours, made by build.py.

Empty unless somebody asked for it: `pip install` compiles nothing and needs no compiler.
"""
