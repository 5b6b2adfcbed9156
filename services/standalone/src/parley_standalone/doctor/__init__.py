"""`parley doctor`: what `parley run` needs, checked one by one."""
