// How connections are encrypted, and who may make them.
#pragma once

#include <memory>
#include <string>

#include <grpcpp/grpcpp.h>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

// Files in PEM. All empty: connections are not encrypted.
struct TlsOptions {
  std::string certificate = {};  // The server's, then those of who signed it.
  std::string key = {};
  std::string client_ca = {};  // Only clients with a certificate signed by one of these connect.
};

// kInvalidArgument, naming what is missing, for a certificate without a key and the like;
// kPermissionDenied for a file that cannot be read. Whether the files hold what they should is
// known when a port is bound.
Result<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(const TlsOptions& options);

}  // namespace torchdeploy::server
