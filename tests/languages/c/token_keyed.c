/* The token, its storage in 32-byte values by 32-byte keys. */
#include "cells_keyed.h"

#include "token.h"
