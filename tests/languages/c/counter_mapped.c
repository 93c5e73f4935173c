/* The counter, its storage mapped into memory. */
#include "cells_mapped.h"

#include "counter.h"
