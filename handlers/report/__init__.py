"""The readable report of an examination: what is drawn, how, and on which page.

``curves`` are values without numbers' libraries; ``scored`` and ``columns`` compute them while the
scores are at hand; ``page`` renders them, by ``plots``. No part of it decides anything.
"""
