"""The compiled form of the pump: extension modules of pump and its neighbours, made by pump/build.py.

Empty unless somebody asked for it: `pip install` compiles nothing and needs no compiler.
"""
