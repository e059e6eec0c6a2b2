// Tests of what the log says.
#include "server/log.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/status.h"

#include <nlohmann/json.hpp>

namespace torchdeploy::server {
namespace {

using testing::ElementsAre;
using testing::MatchesRegex;

class LogTest : public testing::Test {
 protected:
  Log In(LogFormat format) {
    return {format, [this](const std::string& line) { lines_.push_back(line); }};
  }

  std::vector<std::string> lines_;
};

const Status kRaised(Code::kUnknown, "negative size", "ValueError", "Traceback ...\n");

TEST_F(LogTest, AFailedRequestIsOneLineOfText) {
  In(LogFormat::kText).Failure({"net", "2", "id\n1", kRaised});
  EXPECT_THAT(lines_, ElementsAre("torchdeploy: request failed: model 'net' version '2' id "
                                  "'id\\n1' UNKNOWN: ValueError: negative size"));
}

TEST_F(LogTest, WhatIsNotGivenIsNotWritten) {
  const Status refused(Code::kNotFound, "no such model");
  In(LogFormat::kText).Failure({"net", "", "", refused});
  EXPECT_THAT(lines_,
              ElementsAre("torchdeploy: request failed: model 'net' NOT_FOUND: no such model"));
}

TEST_F(LogTest, AFailedRequestIsOneObjectOfJsonWithItsTraceback) {
  In(LogFormat::kJson).Failure({"net", "2", "\xff", kRaised});
  ASSERT_EQ(lines_.size(), 1U);
  const auto entry = nlohmann::json::parse(lines_[0]);
  EXPECT_THAT(entry["time"].get<std::string>(),
              MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{3}Z"));
  EXPECT_EQ(entry["event"], "request_failed");
  EXPECT_EQ(entry["model"], "net");
  EXPECT_EQ(entry["version"], "2");
  EXPECT_EQ(entry["id"], "\xEF\xBF\xBD");
  EXPECT_EQ(entry["status"], "UNKNOWN");
  EXPECT_EQ(entry["type"], "ValueError");
  EXPECT_EQ(entry["message"], "negative size");
  EXPECT_EQ(entry["traceback"], "Traceback ...\n");
}

TEST_F(LogTest, AnEventIsALineInEitherFormat) {
  In(LogFormat::kText).Event("an interpreter hung");
  In(LogFormat::kJson).Event("an interpreter hung");
  ASSERT_EQ(lines_.size(), 2U);
  EXPECT_EQ(lines_[0], "torchdeploy: an interpreter hung");
  EXPECT_EQ(nlohmann::json::parse(lines_[1])["message"], "an interpreter hung");
}

TEST_F(LogTest, AnEventThatWasAnExceptionHasItsTraceback) {
  In(LogFormat::kText).Event("UNKNOWN: ValueError: no", "Traceback ...\n");
  In(LogFormat::kJson).Event("UNKNOWN: ValueError: no", "Traceback ...\n");
  ASSERT_EQ(lines_.size(), 2U);
  EXPECT_EQ(lines_[0], "torchdeploy: UNKNOWN: ValueError: no\nTraceback ...\n");
  EXPECT_EQ(nlohmann::json::parse(lines_[1])["traceback"], "Traceback ...\n");
}

TEST_F(LogTest, WithoutASinkNothingIsWritten) {
  Log().Event("nobody reads this");
  Log().Failure({"net", "2", "id", kRaised});
  EXPECT_TRUE(lines_.empty());
}

}  // namespace
}  // namespace torchdeploy::server
