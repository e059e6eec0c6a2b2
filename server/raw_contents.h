// Where the bytes of a request's inputs are.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "server/shared_memory_regions.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

// Row-major elements.
struct RawContents {
  std::string_view bytes;
  std::shared_ptr<const void> owner;  // Keeps them; nobody reads them again.
};

// Goes over a request's inputs in their order.
class RawContentsReader {
 public:
  RawContentsReader(std::shared_ptr<const inference::ModelInferRequest> request,
                    const SharedMemoryRegions& regions);

  // Each input has contents of one kind: raw for all, or typed, or in shared memory.
  [[nodiscard]] Status Check() const;

  // Of the next input, which is `input`: a view of the request, or what is in shared memory now;
  // nothing when it has typed contents. `expected_bytes`: if only so many will do; what is in
  // shared memory is then not read otherwise. kInvalidArgument also as SharedMemoryRegions and
  // SharedMemoryRegion::Read(), and when more than a message can hold is in shared memory.
  // REQUIRES: Check().
  Result<std::optional<RawContents>> Next(
      const inference::ModelInferRequest::InferInputTensor& input,
      std::optional<uint64_t> expected_bytes);

 private:
  Result<RawContents> CopyOf(const MemorySlice& slice, std::optional<uint64_t> expected_bytes);

  const std::shared_ptr<const inference::ModelInferRequest> request_;
  const SharedMemoryRegions& regions_;
  int next_raw_ = 0;
  uint64_t copied_bytes_ = 0;
};

}  // namespace torchdeploy::server
