#include "server/log.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <string>
#include <string_view>

#include "torchdeploy/status.h"

#include <nlohmann/json.hpp>
#include <nlohmann/json_fwd.hpp>

namespace torchdeploy::server {

namespace {

using nlohmann::ordered_json;

constexpr size_t kLongestName = 256;

// As RFC 3339 has it, in UTC, to the millisecond.
std::string Now() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto whole = std::chrono::system_clock::from_time_t(seconds);
  const auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(now - whole).count();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> date{};
  const size_t length = std::strftime(date.data(), date.size(), "%FT%T", &parts);
  std::array<char, 8> milliseconds{};
  const int digits = std::snprintf(milliseconds.data(), milliseconds.size(), ".%03dZ",
                                   static_cast<int>(rest < 0 ? rest + 1000 : rest));
  return std::string(date.data(), length) +
         std::string(milliseconds.data(), static_cast<size_t>(digits));
}

std::string Cut(const std::string& name) {
  return name.size() <= kLongestName ? name : name.substr(0, kLongestName) + "...";
}

// What a client sent cannot begin a line of its own, or move a terminal's cursor.
std::string OnOneLine(std::string_view text) {
  std::string line;
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    if (byte >= 0x20 && byte != 0x7F) {
      line += letter;
      continue;
    }
    std::array<char, 8> escape{};
    std::snprintf(escape.data(), escape.size(), "\\x%02x", byte);
    line += letter == '\n' ? "\\n" : escape.data();
  }
  return line;
}

// Bytes that are no UTF-8 become U+FFFD.
std::string Dump(const ordered_json& entry) {
  return entry.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace

void Log::Event(const std::string& message, const std::string& traceback) const {
  if (!write_ || !switches_->events) {
    return;
  }
  if (format_ == LogFormat::kText) {
    write_("torchdeploy: " + message + (traceback.empty() ? "" : "\n" + traceback));
    return;
  }
  ordered_json entry = {{"time", Now()}, {"event", "server"}, {"message", message}};
  if (!traceback.empty()) {
    entry["traceback"] = traceback;
  }
  write_(Dump(entry));
}

void Log::Failure(const FailedRequest& request) const {
  if (!write_ || !switches_->failures) {
    return;
  }
  const Status& status = request.status;
  if (format_ == LogFormat::kText) {
    const std::string version = request.version.empty() ? "" : " version '" + request.version + "'";
    const std::string id = request.id.empty() ? "" : " id '" + Cut(request.id) + "'";
    write_("torchdeploy: " + OnOneLine("request failed: model '" + Cut(request.model) + "'" +
                                       Cut(version) + id + " " + status.ToString()));
    return;
  }
  ordered_json entry = {{"time", Now()},
                        {"event", "request_failed"},
                        {"model", Cut(request.model)},
                        {"version", Cut(request.version)},
                        {"id", Cut(request.id)},
                        {"status", CodeName(status.code())},
                        {"message", status.message()}};
  if (!status.type().empty()) {
    entry["type"] = status.type();
    entry["traceback"] = status.traceback();
  }
  write_(Dump(entry));
}

}  // namespace torchdeploy::server
