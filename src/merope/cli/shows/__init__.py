"""The pages of `show`, one module for each kind of object; a page is imported when it is printed."""
