/* The token, its storage mapped into memory. */
#include "cells_mapped.h"

#include "token.h"
