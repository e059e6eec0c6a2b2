// A Status as gRPC sends it.
#pragma once

#include <string>

#include <grpcpp/grpcpp.h>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

// Trailing metadata of a failed call that says which Python exception it was.
inline constexpr const char* kErrorTypeKey = "torchdeploy-error-type";
inline constexpr const char* kTracebackKey = "torchdeploy-traceback-bin";

// What a client is told of a failure: the message; of a Python exception "Type: text". Cut when it
// is long.
std::string TextOf(const Status& status);

// The same code, and TextOf() as message; a Python exception's type and
// traceback go into the trailing metadata of `context`, the type percent-encoded. Long texts are
// cut, for a client refuses trailers over 8 KB.
grpc::Status ToGrpcStatus(const Status& status, grpc::CallbackServerContext* context);

}  // namespace torchdeploy::server
