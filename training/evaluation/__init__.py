"""How good a net is: figures, calibration, and whether it is as good as the live one."""
