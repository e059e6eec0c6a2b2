// Any bytes as a model's config.yaml.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "server/model_settings.h"
#include "server/request_queue.h"
#include "torchdeploy/status.h"

#include "tests/fuzz/rule.h"

namespace torchdeploy::fuzz {

namespace {

// As docs/configuration.md says.
void RequireAllowed(const server::QueueSettings& queue) {
  constexpr int64_t kMostRows = 1'000'000;
  const auto is_rows = [](int64_t rows) { return rows >= 1 && rows <= kMostRows; };
  const server::BatchSettings& batching = queue.batching;
  Require(is_rows(batching.most_rows), "batching.max_size is allowed");
  Require(batching.delay >= std::chrono::microseconds(0) &&
              batching.delay <= std::chrono::microseconds(60'000'000),
          "batching.max_delay_us is allowed");
  Require(std::ranges::all_of(batching.preferred_rows, is_rows) &&
              std::ranges::is_sorted(batching.preferred_rows),
          "batching.preferred_sizes are allowed");
  Require(batching.preferred_rows.empty() || batching.preferred_rows.back() <= batching.most_rows,
          "no preferred size is over the greatest");
  Require(queue.most_waiting >= 1 && queue.most_waiting <= 1'000'000, "queue.max_size is allowed");
}

void Check(const std::string& text) {
  const std::string place = "config.yaml";
  server::ModelSettings settings;
  const Status status = server::ParseModelSettings(text, place, &settings);
  if (status.ok()) {
    RequireAllowed(settings.queue);
    Require(settings.warmup_calls >= 0 && settings.warmup_calls <= 1000, "warmup_calls is allowed");
    Require(settings.versions.latest.value_or(1) >= 1, "versions.latest is allowed");
    return;
  }
  Require(status.code() == Code::kInvalidArgument, "what is refused is INVALID_ARGUMENT");
  Require(status.message().starts_with(place + ": ") && status.message().size() > place.size() + 2,
          "a refusal names the file, and says why");
}

}  // namespace

}  // namespace torchdeploy::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  torchdeploy::fuzz::Check({reinterpret_cast<const char*>(data), size});
  return 0;
}
