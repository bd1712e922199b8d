"""How a picture of a digit becomes one like those of MNIST: its ink, on 28×28."""
