/* The bank, its storage mapped into memory. */
#include "cells_mapped.h"

#include "bank.h"
