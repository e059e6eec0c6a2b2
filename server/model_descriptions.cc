#include "server/model_descriptions.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "server/datatype.h"
#include "server/inference_statistics.h"
#include "server/model_registry.h"
#include "server/request_queue.h"
#include "torchdeploy/manifest.h"

#include "open_inference_grpc.pb.h"
#include <google/protobuf/repeated_ptr_field.h>

namespace torchdeploy::server {

namespace {

using google::protobuf::RepeatedPtrField;

constexpr const char* kPlatform = "torchdeploy_eager";
constexpr const char* kBackend = "torchdeploy";

void DescribeTensors(const std::vector<TensorSpec>& specs,
                     RepeatedPtrField<inference::ModelMetadataResponse::TensorMetadata>* tensors) {
  for (const TensorSpec& spec : specs) {
    auto* tensor = tensors->Add();
    tensor->set_name(spec.name);
    tensor->set_datatype(spec.datatype);
    if (spec.shape) {
      tensor->mutable_shape()->Add(spec.shape->begin(), spec.shape->end());
    }
  }
}

inference::DataType DataTypeOf(const std::string& datatype) {
  inference::DataType type = inference::TYPE_INVALID;
  const std::string name = datatype == kBytes ? "STRING" : datatype;
  return inference::DataType_Parse("TYPE_" + name, &type) ? type : inference::TYPE_INVALID;
}

template <typename Tensor>
void DescribeTensors(const std::vector<TensorSpec>& specs, bool is_batched,
                     RepeatedPtrField<Tensor>* tensors) {
  for (const TensorSpec& spec : specs) {
    auto* tensor = tensors->Add();
    tensor->set_name(spec.name);
    tensor->set_data_type(DataTypeOf(spec.datatype));
    if (spec.shape) {
      const size_t first = is_batched && !spec.shape->empty() ? 1 : 0;
      tensor->mutable_dims()->Add(spec.shape->begin() + static_cast<std::ptrdiff_t>(first),
                                  spec.shape->end());
    }
  }
}

void DescribeBatching(const QueueSettings& settings, inference::ModelDynamicBatching* batching) {
  for (const int64_t rows : settings.batching.preferred_rows) {
    batching->add_preferred_batch_size(static_cast<int32_t>(rows));
  }
  batching->set_max_queue_delay_microseconds(
      static_cast<uint64_t>(settings.batching.delay.count()));
  auto* policy = batching->mutable_default_queue_policy();
  policy->set_allow_timeout_override(true);
  policy->set_max_queue_size(static_cast<uint32_t>(settings.most_waiting));
}

void Set(const CountedDuration& from, inference::StatisticDuration* to) {
  to->set_count(from.count);
  to->set_ns(from.ns);
}

template <typename Statistics>
void Set(const CallDurations& from, Statistics* to) {
  Set(from.input, to->mutable_compute_input());
  Set(from.infer, to->mutable_compute_infer());
  Set(from.output, to->mutable_compute_output());
}

}  // namespace

void DescribeMetadata(const Model& model, const std::vector<std::string>& versions,
                      inference::ModelMetadataResponse* response) {
  response->set_name(model.name);
  response->set_platform(kPlatform);
  for (const std::string& version : versions) {
    response->add_versions(version);
  }
  if (model.manifest) {
    DescribeTensors(model.manifest->inputs, response->mutable_inputs());
    DescribeTensors(model.manifest->outputs, response->mutable_outputs());
  }
}

void DescribeConfig(const Model& model, inference::ModelConfig* config) {
  const QueueSettings& settings = model.queue->settings();
  const bool is_batched = settings.batching.most_rows > 1;
  config->set_name(model.name);
  config->set_platform(kPlatform);
  config->set_backend(kBackend);
  config->set_max_batch_size(is_batched ? static_cast<int32_t>(settings.batching.most_rows) : 0);
  if (model.manifest) {
    DescribeTensors(model.manifest->inputs, is_batched, config->mutable_input());
    DescribeTensors(model.manifest->outputs, is_batched, config->mutable_output());
    config->mutable_model_transaction_policy()->set_decoupled(model.manifest->yields);
  }
  auto* group = config->add_instance_group();
  group->set_name(model.name);
  group->set_count(static_cast<int32_t>(model.queue->num_interpreters()));
  group->set_kind(inference::ModelInstanceGroup::KIND_CPU);
  if (is_batched) {
    DescribeBatching(settings, config->mutable_dynamic_batching());
  }
  if (settings.sequences) {
    const auto idle = std::chrono::microseconds(settings.sequences->idle);
    config->mutable_sequence_batching()->set_max_sequence_idle_microseconds(
        static_cast<uint64_t>(idle.count()));
  }
}

void DescribeStatistics(const Model& model, inference::ModelStatistics* statistics) {
  const StatisticsSnapshot sum = model.statistics->Get();
  statistics->set_name(model.name);
  statistics->set_version(model.version);
  statistics->set_inference_count(sum.rows);
  statistics->set_execution_count(sum.calls);
  const auto since_1970 = sum.last_answer.time_since_epoch();
  statistics->set_last_inference(static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(since_1970).count()));
  auto* inferences = statistics->mutable_inference_stats();
  Set(sum.success, inferences->mutable_success());
  Set(sum.failure, inferences->mutable_fail());
  Set(sum.queue, inferences->mutable_queue());
  Set(sum.call, inferences);
  for (const auto& [rows, durations] : sum.by_batch_rows) {
    auto* batch = statistics->add_batch_stats();
    batch->set_batch_size(static_cast<uint64_t>(rows));
    Set(durations, batch);
  }
}

}  // namespace torchdeploy::server
