#include "server/metrics.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/inference_statistics.h"
#include "server/model_registry.h"
#include "server/process_figures.h"
#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/interpreter_usage.h"
#include "torchdeploy/status.h"

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/metric_type.h>

namespace torchdeploy::server {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

constexpr double kNsPerSecond = 1e9;
// Rows of a call are counted apart up to each of these.
constexpr std::array<int64_t, 11> kRowBounds = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};

// A model, and its statistics at one instant.
struct Sample {
  std::shared_ptr<const Model> model;
  StatisticsSnapshot statistics;

  [[nodiscard]] Labels labels() const {
    return {{"model", model->name}, {"version", model->version}};
  }
};
using Samples = std::vector<Sample>;

ClientMetric Number(MetricType type, Labels labels, double value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  if (type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  return metric;
}

MetricFamily OfNumber(MetricType type, const char* name, const char* help, double value) {
  return {name, help, type, {Number(type, {}, value)}};
}

double Seconds(uint64_t ns) {
  return static_cast<double>(ns) / kNsPerSecond;
}

double Seconds(std::chrono::nanoseconds duration) {
  return static_cast<double>(duration.count()) / kNsPerSecond;
}

// `by_bound` has one more than `bounds`, for longer ones.
template <typename Duration, size_t kBounds>
ClientMetric Histogram(Labels labels, double sum_s,
                       const std::array<uint64_t, kBounds + 1>& by_bound,
                       const std::array<Duration, kBounds>& bounds) {
  ClientMetric metric;
  metric.label = std::move(labels);
  uint64_t count = 0;
  for (size_t i = 0; i <= kBounds; ++i) {
    count += by_bound[i];
    metric.histogram.bucket.push_back(
        {count, i < kBounds ? Seconds(bounds[i]) : std::numeric_limits<double>::infinity()});
  }
  metric.histogram.sample_count = count;
  metric.histogram.sample_sum = sum_s;
  return metric;
}

MetricFamily Durations(const Samples& samples, const char* name, const char* help,
                       const std::function<CountedDuration(const StatisticsSnapshot&)>& durations) {
  MetricFamily family{name, help, MetricType::Histogram, {}};
  for (const Sample& sample : samples) {
    const CountedDuration counted = durations(sample.statistics);
    family.metric.push_back(
        Histogram(sample.labels(), Seconds(counted.ns), counted.by_bound, kDurationBoundsNs));
  }
  return family;
}

MetricFamily Numbers(const Samples& samples, MetricType type, const char* name, const char* help,
                     const std::function<double(const Sample&)>& number) {
  MetricFamily family{name, help, type, {}};
  for (const Sample& sample : samples) {
    family.metric.push_back(Number(type, sample.labels(), number(sample)));
  }
  return family;
}

MetricFamily Requests(const Samples& samples) {
  MetricFamily family{"torchdeploy_requests_total",
                      "Requests that were answered, by status.",
                      MetricType::Counter,
                      {}};
  const auto add = [&family](const Sample& sample, Code code, uint64_t count) {
    Labels labels = sample.labels();
    labels.push_back({"status", std::string(CodeName(code))});
    family.metric.push_back(
        Number(MetricType::Counter, std::move(labels), static_cast<double>(count)));
  };
  for (const Sample& sample : samples) {
    add(sample, Code::kOk, sample.statistics.success.count);
    for (const auto& [code, count] : sample.statistics.failures) {
      add(sample, code, count);
    }
  }
  return family;
}

ClientMetric RowsHistogram(const Sample& sample) {
  ClientMetric metric;
  metric.label = sample.labels();
  auto& histogram = metric.histogram;
  const std::map<int64_t, CallDurations>& calls = sample.statistics.by_batch_rows;
  auto next = calls.begin();
  uint64_t count = 0;
  const auto count_to = [&](int64_t bound) {
    for (; next != calls.end() && next->first <= bound; ++next) {
      count += next->second.infer.count;
      histogram.sample_sum +=
          static_cast<double>(next->first) * static_cast<double>(next->second.infer.count);
    }
    return count;
  };
  for (const int64_t bound : kRowBounds) {
    histogram.bucket.push_back({count_to(bound), static_cast<double>(bound)});
  }
  histogram.sample_count = count_to(std::numeric_limits<int64_t>::max());
  histogram.bucket.push_back({histogram.sample_count, std::numeric_limits<double>::infinity()});
  return metric;
}

MetricFamily RowsOfCalls(const Samples& samples) {
  MetricFamily family{"torchdeploy_call_rows",
                      "Rows of the model's calls that succeeded.",
                      MetricType::Histogram,
                      {}};
  for (const Sample& sample : samples) {
    family.metric.push_back(RowsHistogram(sample));
  }
  return family;
}

void AddModels(const Samples& samples, std::vector<MetricFamily>& families) {
  families.push_back(Requests(samples));
  families.push_back(
      Durations(samples, "torchdeploy_request_seconds",
                "From a request to its answer, of requests that succeeded.",
                [](const StatisticsSnapshot& statistics) { return statistics.success; }));
  families.push_back(
      Durations(samples, "torchdeploy_failed_request_seconds", "The same, of requests that failed.",
                [](const StatisticsSnapshot& statistics) { return statistics.failure; }));
  families.push_back(
      Durations(samples, "torchdeploy_queue_seconds", "Waiting for an interpreter.",
                [](const StatisticsSnapshot& statistics) { return statistics.queue; }));
  families.push_back(Durations(
      samples, "torchdeploy_batch_seconds", "Joining the request with others of its call.",
      [](const StatisticsSnapshot& statistics) { return statistics.call.input; }));
  families.push_back(
      Durations(samples, "torchdeploy_execution_seconds", "The call of the model.",
                [](const StatisticsSnapshot& statistics) { return statistics.call.infer; }));
  families.push_back(
      Durations(samples, "torchdeploy_response_seconds", "Writing the response.",
                [](const StatisticsSnapshot& statistics) { return statistics.call.output; }));
  families.push_back(RowsOfCalls(samples));
  families.push_back(Numbers(
      samples, MetricType::Counter, "torchdeploy_rows_total", "Rows of requests that succeeded.",
      [](const Sample& sample) { return static_cast<double>(sample.statistics.rows); }));
  families.push_back(Numbers(samples, MetricType::Gauge, "torchdeploy_queue_length",
                             "Requests that no interpreter has taken.", [](const Sample& sample) {
                               return static_cast<double>(sample.model->queue->waiting());
                             }));
}

// Interpreters by who uses them: "shared", or "NAME/VERSION".
using Pools = std::vector<std::pair<std::string, const InterpreterManager*>>;

MetricFamily OfInterpreters(
    const Pools& pools, MetricType type, const char* name, const char* help,
    const std::function<ClientMetric(Labels, const InterpreterUsage&)>& metric) {
  MetricFamily family{name, help, type, {}};
  for (const auto& [pool, manager] : pools) {
    size_t interpreter = 0;
    for (const InterpreterUsage& usage : manager->Usage()) {
      family.metric.push_back(
          metric({{"pool", pool}, {"interpreter", std::to_string(interpreter++)}}, usage));
    }
  }
  return family;
}

MetricFamily OfPools(const Pools& pools, MetricType type, const char* name, const char* help,
                     size_t (InterpreterManager::*number)() const) {
  MetricFamily family{name, help, type, {}};
  for (const auto& [pool, manager] : pools) {
    family.metric.push_back(
        Number(type, {{"pool", pool}}, static_cast<double>((manager->*number)())));
  }
  return family;
}

void AddInterpreters(const Pools& pools, std::vector<MetricFamily>& families) {
  families.push_back(
      OfInterpreters(pools, MetricType::Counter, "torchdeploy_interpreter_busy_seconds_total",
                     "For how long the interpreter was in calls.",
                     [](Labels labels, const InterpreterUsage& usage) {
                       return Number(MetricType::Counter, std::move(labels), Seconds(usage.busy));
                     }));
  families.push_back(
      OfInterpreters(pools, MetricType::Histogram, "torchdeploy_interpreter_lock_wait_seconds",
                     "Waits of calls for the interpreter's lock (the GIL).",
                     [](Labels labels, const InterpreterUsage& usage) {
                       return Histogram(std::move(labels), Seconds(usage.lock_waits.total),
                                        usage.lock_waits.by_bound, kLockWaitBounds);
                     }));
  families.push_back(
      OfInterpreters(pools, MetricType::Gauge, "torchdeploy_interpreter_python_bytes",
                     "Memory that Python itself holds: objects and code, no tensors.",
                     [](Labels labels, const InterpreterUsage& usage) {
                       return Number(MetricType::Gauge, std::move(labels),
                                     static_cast<double>(usage.python_bytes));
                     }));
  families.push_back(OfPools(pools, MetricType::Gauge, "torchdeploy_interpreters",
                             "Interpreters of this process.", &InterpreterManager::size));
  families.push_back(OfPools(pools, MetricType::Counter, "torchdeploy_interpreters_replaced_total",
                             "Interpreters that hung and were replaced.",
                             &InterpreterManager::interpreters_replaced));
}

// By the names that Prometheus's own clients use.
void AddProcess(const ProcessFigures& figures, std::vector<MetricFamily>& families) {
  families.push_back(OfNumber(MetricType::Counter, "process_cpu_seconds_total",
                              "CPU time of this process.", figures.cpu_seconds));
  const auto add = [&families](const char* name, const char* help, double value) {
    families.push_back(OfNumber(MetricType::Gauge, name, help, value));
  };
  add("process_start_time_seconds", "Start of this process, since 1970.", figures.start_seconds);
  add("process_resident_memory_bytes", "Resident memory.",
      static_cast<double>(figures.resident_bytes));
  add("process_virtual_memory_bytes", "Virtual memory.",
      static_cast<double>(figures.virtual_bytes));
  add("process_open_fds", "Open file descriptors.", static_cast<double>(figures.open_files));
  add("process_max_fds", "File descriptors that may be open.",
      static_cast<double>(figures.most_open_files));
  add("process_threads", "Threads.", static_cast<double>(figures.threads));
}

}  // namespace

std::vector<MetricFamily> Metrics::Collect() const {
  Samples samples;  // Keep their models' interpreters.
  Pools pools;
  if (const InterpreterManager* shared = shared_; shared != nullptr) {
    pools.emplace_back("shared", shared);
  }
  for (const auto& model : registry_.All()) {
    samples.push_back({model, model->statistics->Get()});
    if (model->reserved != nullptr) {
      pools.emplace_back(model->name + "/" + model->version, model->reserved.get());
    }
  }
  std::vector<MetricFamily> families;
  AddModels(samples, families);
  AddInterpreters(pools, families);
  if (const std::optional<ProcessFigures> figures = ReadProcessFigures(); figures) {
    AddProcess(*figures, families);
  }
  return families;
}

}  // namespace torchdeploy::server
