// What a call of a model from C++ costs beyond the model.
//
//   call_overhead ARCHIVE INSIDE ROUNDS CALLS WARM_UP
//
// INSIDE is Python source with p50_us(model, x, calls), which times calls within the
// interpreter. Prints JSON: for each round the p50 from outside and from within, in us.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <ratio>
#include <string>
#include <vector>

#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/obj.h"
#include "torchdeploy/package.h"
#include "torchdeploy/process_exit.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

namespace {

using torchdeploy::InterpreterManager;
using torchdeploy::ReplicatedObj;
using torchdeploy::Result;
using torchdeploy::Status;
using torchdeploy::Tensor;
using torchdeploy::Value;

// A measurement that fails has no figure: the program says why and ends.
template <typename T>
T OrExit(Result<T> result) {
  if (!result.ok()) {
    std::fprintf(stderr, "%s\n", result.status().ToString().c_str());
    torchdeploy::ExitProcess(1);
  }
  return *std::move(result);
}

double P50OutsideUs(const ReplicatedObj& model, const Tensor& x, int64_t calls) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> took;
  took.reserve(static_cast<size_t>(calls));
  for (int64_t i = 0; i < calls; ++i) {
    const Clock::time_point begin = Clock::now();
    OrExit(model.Call({x}));
    took.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
  }
  const auto middle = took.begin() + static_cast<std::ptrdiff_t>(took.size() / 2);
  std::nth_element(took.begin(), middle, took.end());
  return *middle;
}

double P50InsideUs(const ReplicatedObj& model, const Tensor& x, int64_t calls) {
  const auto session = OrExit(model.AcquireSession());
  const auto timer = OrExit(session.Global("inside", "p50_us"));
  const auto tensor = OrExit(session.FromValue(x));
  const auto count = OrExit(session.FromValue(calls));
  const Value p50 = OrExit(OrExit(timer.CallObjects({session.self(), tensor, count})).ToValue());
  return *p50.get<double>();
}

void Measure(const ReplicatedObj& model, int64_t rounds, int64_t calls, int64_t warm_up) {
  const Tensor x = OrExit(Tensor::Allocate({kDLFloat, 32, 1}, {1, 16}));
  std::fill_n(static_cast<float*>(x.data()), x.num_elements(), 1.0F);
  P50OutsideUs(model, x, warm_up);
  for (int64_t round = 0; round < rounds; ++round) {
    const double inside = P50InsideUs(model, x, calls);
    const double outside = P50OutsideUs(model, x, calls);
    std::printf("%s[%.3f, %.3f]", round == 0 ? "[" : ", ", outside, inside);
  }
  std::printf("]\n");
}

int Run(const std::vector<std::string>& arguments) {
  std::ifstream file(arguments[1]);
  const std::string source(std::istreambuf_iterator<char>(file), {});
  const auto manager =
      OrExit(InterpreterManager::Create({.interpreters = 1, .intra_op_threads = 1}));
  if (const Status status = manager->RegisterModuleSource("inside", source); !status.ok()) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return 1;
  }
  const ReplicatedObj model = OrExit(manager->LoadPackage(arguments[0])).LoadPickle();
  Measure(model, std::stoll(arguments[2]), std::stoll(arguments[3]), std::stoll(arguments[4]));
  std::fflush(stdout);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: call_overhead ARCHIVE INSIDE ROUNDS CALLS WARM_UP\n");
    return 2;
  }
  torchdeploy::ExitProcess(Run({argv + 1, argv + argc}));
}
