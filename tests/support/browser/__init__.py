"""Real browsers for tests.

chromium    a page in Chromium, driven by the DevTools protocol
firefox     a page in Firefox, driven by WebDriver BiDi
script      what both pages do
ending      how both programs end
"""
