#include "server/status_mapping.h"

#include <cstddef>
#include <string>

#include <grpcpp/grpcpp.h>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

namespace {

// A message is sent percent-encoded and a traceback in base64: both grow.
constexpr size_t kMostMessageBytes = 1024;
constexpr size_t kMostTracebackBytes = 3072;

// Cuts behind a whole UTF-8 character.
std::string CutEnd(const std::string& text, size_t most) {
  if (text.size() <= most) {
    return text;
  }
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0U) == 0x80U) {
    --most;
  }
  return text.substr(0, most) + "...";
}

// The end of a traceback is where it was raised.
std::string CutStart(const std::string& text, size_t most) {
  return text.size() <= most ? text : "..." + text.substr(text.size() - most);
}

}  // namespace

grpc::Status ToGrpcStatus(const Status& status, grpc::CallbackServerContext* context) {
  if (status.ok()) {
    return grpc::Status::OK;
  }
  std::string message = status.message();
  if (!status.type().empty()) {
    message = status.type() + ": " + message;
    context->AddTrailingMetadata(kErrorTypeKey, status.type());
    context->AddTrailingMetadata(kTracebackKey, CutStart(status.traceback(), kMostTracebackBytes));
  }
  return {static_cast<grpc::StatusCode>(status.code()), CutEnd(message, kMostMessageBytes)};
}

}  // namespace torchdeploy::server
