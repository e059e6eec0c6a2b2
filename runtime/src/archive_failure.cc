#include "runtime/src/archive_failure.h"

#include <cstddef>
#include <string>
#include <string_view>

#include "torchdeploy/status.h"

namespace torchdeploy {

namespace {

constexpr size_t kMaxQuotedBytes = 100;

}  // namespace

Status ArchiveFailure(Code code, const std::string& path, const std::string& what) {
  return {code, "The archive '" + path + "' " + what + "."};
}

std::string Quoted(std::string_view name) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "'";
  for (const char character : name) {
    if (text.size() + 4 > kMaxQuotedBytes - 4) {
      text += "...";
      break;
    }
    const auto byte = static_cast<unsigned char>(character);
    if (byte >= ' ' && byte <= '~') {
      text += character;
    } else {
      text += {'\\', 'x', kDigits[byte / 16U], kDigits[byte % 16U]};
    }
  }
  return text + "'";
}

}  // namespace torchdeploy
