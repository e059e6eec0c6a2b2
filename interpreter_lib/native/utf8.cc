#include "interpreter_lib/native/utf8.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace torchdeploy::native {
namespace {

// How many bytes follow a first one; -1 when it is none.
int BytesAfter(unsigned char first) {
  if (first < 0x80) {
    return 0;
  }
  if (first >= 0xC2 && first <= 0xDF) {
    return 1;
  }
  if (first >= 0xE0 && first <= 0xEF) {
    return 2;
  }
  return first >= 0xF0 && first <= 0xF4 ? 3 : -1;
}

// Neither longer than it needs to be, nor a surrogate, nor above the last character.
bool IsCharacter(uint32_t code, int bytes_after) {
  constexpr uint32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
  return code >= kLeast[bytes_after] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
}

// How many bytes the character at the beginning of `text` has; 0 when there is none.
size_t FirstCharacter(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  const int after = BytesAfter(first);
  if (after < 0 || text.size() <= static_cast<size_t>(after)) {
    return 0;
  }
  uint32_t code = after == 0 ? first : first & (0x3FU >> static_cast<unsigned>(after));
  for (const char c : text.substr(1, static_cast<size_t>(after))) {
    const auto next = static_cast<unsigned char>(c);
    if ((next & 0xC0U) != 0x80U) {
      return 0;
    }
    code = (code << 6U) | (next & 0x3FU);
  }
  return IsCharacter(code, after) ? static_cast<size_t>(after) + 1 : 0;
}

}  // namespace

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t size_bytes = FirstCharacter(text);
    if (size_bytes == 0) {
      return false;
    }
    text.remove_prefix(size_bytes);
  }
  return true;
}

std::string ShownAsUtf8(std::string text) {
  if (!IsUtf8(text)) {
    std::replace_if(
        text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; },
        '?');
  }
  return text;
}

}  // namespace torchdeploy::native
