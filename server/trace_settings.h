// Which requests are traced.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "server/trace_context.h"

namespace torchdeploy::server {

// Source: Triton's trace settings of these names.
struct TraceSettings {
  bool is_on = true;    // trace_level.
  int64_t rate = 1000;  // Of the requests without a caller's trace, the first and each of as many.
  int64_t count = -1;   // Requests that are still to be traced; -1: all.
};

// What is to be changed of them. An inner nothing: as it is for all models; for all models, as the
// server was started.
struct TraceSettingsChange {
  std::optional<std::optional<bool>> is_on = {};
  std::optional<std::optional<int64_t>> rate = {};
  std::optional<std::optional<int64_t>> count = {};
};

// Those of all models, and what single ones have for themselves. Thread-safe.
class TraceSettingsByModel {
 public:
  explicit TraceSettingsByModel(TraceSettings at_start) : at_start_(at_start), of_all_(at_start) {}

  // Empty `model`: those of all without settings of their own.
  [[nodiscard]] TraceSettings Get(const std::string& model) const;
  void Change(const std::string& model, const TraceSettingsChange& change);

  // Whether a request is to be traced; counts it then. A caller's decision is kept.
  bool Take(const std::string& model, const std::optional<TraceContext>& caller);

 private:
  struct OwnSettings {
    std::optional<bool> is_on = {};
    std::optional<int64_t> rate = {};
    std::optional<int64_t> count = {};
  };

  // REQUIRES: mutex_ is held.
  [[nodiscard]] TraceSettings GetLocked(const std::string& model) const;
  // The count that a request of the model takes from. REQUIRES: mutex_ is held.
  int64_t& CountOf(const std::string& model);

  const TraceSettings at_start_;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  TraceSettings of_all_;
  std::map<std::string, OwnSettings> own_;
  std::map<std::string, int64_t> seen_;  // Requests without a caller's trace, by model.
};

}  // namespace torchdeploy::server
