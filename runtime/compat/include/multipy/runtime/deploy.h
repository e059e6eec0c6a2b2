// The later name of torch/deploy.h.
#pragma once

#include <torch/deploy.h>  // IWYU pragma: export
