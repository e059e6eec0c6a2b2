// The number of threads that torch uses inside one operation.
#include "interpreter_lib/common/intra_op_threads.h"

#include <ATen/Parallel.h>

// libgomp's, found at load time through torch, which names the one to use. Null when torch
// was built without OpenMP: its own pool then belongs to the interpreter alone.
// NOLINTBEGIN(readability-identifier-naming): the names are OpenMP's.
extern "C" {
__attribute__((weak)) int omp_get_max_threads();
__attribute__((weak)) void omp_set_num_threads(int count);
}
// NOLINTEND(readability-identifier-naming)

namespace torchdeploy {
namespace {

bool HasOpenMP() {
  return &omp_get_max_threads != nullptr && &omp_set_num_threads != nullptr;
}

}  // namespace

IntraOpThreads::IntraOpThreads(int count)
    : count_(count), hosts_count_(HasOpenMP() ? omp_get_max_threads() : count) {
  // On a thread's first use torch sets a count of its own; let that happen before ours.
  const int torchs_count = at::get_num_threads();
  if (HasOpenMP()) {
    omp_set_num_threads(count_);
  } else if (torchs_count != count_) {
    at::set_num_threads(count_);
  }
}

IntraOpThreads::~IntraOpThreads() {
  // A model's torch.set_num_threads() also went to MKL and to threads that start later.
  if (at::get_num_threads() != count_) {
    at::set_num_threads(count_);
  }
  if (HasOpenMP()) {
    omp_set_num_threads(hosts_count_);
  }
}

}  // namespace torchdeploy
