[ "$(tty)" != /dev/tty1 ] || exec startx -- vt1 -keeptty -s 0 -dpms > ~/startx.log 2>&1
