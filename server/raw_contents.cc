#include "server/raw_contents.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include <dlpack/dlpack.h>

#include "server/shared_memory_regions.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

namespace {

using Input = inference::ModelInferRequest::InferInputTensor;

constexpr DLDataType kByte{kDLUInt, 8, 1};
// Of one request: as many as its message could hold.
constexpr uint64_t kMostCopiedBytes = std::numeric_limits<int32_t>::max();

bool IsShared(const Input& input) {
  return input.parameters().contains(kRegionParameter);
}

Status Invalid(const Input& input, const std::string& message) {
  return {Code::kInvalidArgument, "input '" + input.name() + "' " + message};
}

}  // namespace

RawContentsReader::RawContentsReader(std::shared_ptr<const inference::ModelInferRequest> request,
                                     const SharedMemoryRegions& regions)
    : request_(std::move(request)), regions_(regions) {}

Status RawContentsReader::Check() const {
  const auto& inputs = request_->inputs();
  const auto in_message = inputs.size() - std::count_if(inputs.begin(), inputs.end(), IsShared);
  const int raw = request_->raw_input_contents_size();
  if (raw != 0 && raw != in_message) {
    return {Code::kInvalidArgument, "there are " + std::to_string(raw) + " raw contents for " +
                                        std::to_string(in_message) + " inputs"};
  }
  for (const Input& input : inputs) {
    if (input.has_contents() && IsShared(input)) {
      return Invalid(input, "has typed contents and is in shared memory; give one of them");
    }
    if (input.has_contents() && raw != 0) {
      return Invalid(input, "has typed contents in a request with raw contents; give one kind");
    }
  }
  return {};
}

Result<std::optional<RawContents>> RawContentsReader::Next(const Input& input,
                                                           std::optional<uint64_t> expected_bytes) {
  const Result<std::optional<MemorySlice>> found = regions_.SliceOf(input.parameters());
  if (!found.ok()) {
    return Invalid(input, "cannot be read: " + found.status().message());
  }
  if (const std::optional<MemorySlice>& slice = *found; slice.has_value()) {
    Result<RawContents> copy = CopyOf(*slice, expected_bytes);
    return copy.ok()
               ? Result(std::optional(*std::move(copy)))
               : Status(copy.status().code(),
                        "input '" + input.name() + "' cannot be read: " + copy.status().message());
  }
  if (request_->raw_input_contents().empty()) {
    return std::optional<RawContents>();
  }
  return std::optional(RawContents{request_->raw_input_contents(next_raw_++), request_});
}

Result<RawContents> RawContentsReader::CopyOf(const MemorySlice& slice,
                                              std::optional<uint64_t> expected_bytes) {
  if (expected_bytes.has_value() && slice.size_bytes != *expected_bytes) {
    return Status(Code::kInvalidArgument,
                  "it has " + std::to_string(slice.size_bytes) +
                      " bytes in shared memory; its datatype and shape take " +
                      std::to_string(*expected_bytes));
  }
  if (slice.size_bytes > kMostCopiedBytes - copied_bytes_) {
    return Status(Code::kInvalidArgument, "the request's inputs in shared memory have more than " +
                                              std::to_string(kMostCopiedBytes) + " bytes");
  }
  copied_bytes_ += slice.size_bytes;
  const Result<Tensor> memory = Tensor::Allocate(kByte, {static_cast<int64_t>(slice.size_bytes)});
  if (!memory.ok()) {
    return memory.status();
  }
  auto* const begin = static_cast<std::byte*>(memory->data());
  const Status read = slice.region->Read(slice.offset, std::span(begin, slice.size_bytes));
  if (!read.ok()) {
    return read;
  }
  return RawContents{{reinterpret_cast<const char*>(begin), slice.size_bytes},
                     std::make_shared<const Tensor>(*memory)};
}

}  // namespace torchdeploy::server
