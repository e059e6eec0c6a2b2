// From a request to the arguments of a call.
#pragma once

#include <memory>
#include <optional>

#include "server/arguments.h"
#include "server/shared_memory_regions.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

// Checks the request against the manifest (nothing: any inputs) and turns its inputs into
// arguments: keywords by name; without a manifest, inputs named INPUT__0, INPUT__1 ... are
// positional. Tensors in raw contents are views of the request, which they keep alive; those in
// shared memory are copies. BYTES
// tensors become lists of bytes, nested once for each dimension after the first.
//
// kInvalidArgument, naming the input, the value and what was expected: missing, unknown and
// repeated inputs; unknown or wrong datatypes; wrong, negative or overflowing extents; contents
// that do not fit the shape; raw and typed contents in one request; shared memory that is not
// registered or not large enough.
Result<Arguments> DecodeRequest(const std::shared_ptr<const inference::ModelInferRequest>& request,
                                const std::optional<Manifest>& manifest,
                                const SharedMemoryRegions& regions);

}  // namespace torchdeploy::server
