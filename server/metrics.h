// What Prometheus reads.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "server/model_registry.h"
#include "torchdeploy/interpreter_manager.h"

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

namespace torchdeploy::server {

// The figures of now, from where ModelStatistics has its own. Thread-safe.
//
// Source: docs/metrics.md lists the families.
class Metrics final : public prometheus::Collectable {
 public:
  // `registry` outlives this.
  explicit Metrics(const ModelRegistry& registry) : registry_(registry) {}

  // From now on the figures of the interpreters that models share are there, too. `shared` outlives
  // this.
  void Watch(const InterpreterManager& shared) { shared_ = &shared; }

  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const ModelRegistry& registry_;
  std::atomic<const InterpreterManager*> shared_ = nullptr;
};

}  // namespace torchdeploy::server
