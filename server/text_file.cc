#include "server/text_file.h"

#include <fstream>
#include <iterator>
#include <string>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

Result<std::string> ReadTextFile(const std::string& file) {
  std::ifstream stream(file);
  std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (!stream) {
    return Status(Code::kPermissionDenied, file + ": cannot be read");
  }
  return text;
}

}  // namespace torchdeploy::server
