/* The counter, its storage behind the functions of the storage module. */
#include "cells_methods.h"

#include "counter.h"
