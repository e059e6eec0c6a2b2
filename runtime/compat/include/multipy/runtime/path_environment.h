// The later name of what torch/deploy.h has, too: PathEnvironment.
#pragma once

#include <torch/deploy.h>  // IWYU pragma: export
