/* The token, its storage behind the functions of the storage module. */
#include "cells_methods.h"

#include "token.h"
