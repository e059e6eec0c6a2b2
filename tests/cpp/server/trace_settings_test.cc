// Tests of which requests are traced.
#include "server/trace_settings.h"

#include <cstdint>
#include <optional>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/trace_context.h"

namespace torchdeploy::server {
namespace {

using testing::ElementsAre;

// Of requests to "net" that no client traces.
std::vector<bool> TakeEach(TraceSettingsByModel& settings, int requests) {
  std::vector<bool> taken;
  for (int i = 0; i < requests; ++i) {
    taken.push_back(settings.Take("net", std::nullopt));
  }
  return taken;
}

TEST(TraceSettingsTest, OneOfAsManyRequestsOfEachModelIsTaken) {
  TraceSettingsByModel settings({.rate = 3});
  EXPECT_THAT(TakeEach(settings, 7), ElementsAre(true, false, false, true, false, false, true));
  EXPECT_TRUE(settings.Take("other", std::nullopt));
}

TEST(TraceSettingsTest, WhatTheClientDecidedIsKept) {
  TraceSettingsByModel settings({.rate = 1});
  EXPECT_FALSE(settings.Take("net", TraceContext{.is_sampled = false}));
  settings.Change("", {.rate = 1000});
  EXPECT_TRUE(settings.Take("net", TraceContext{.is_sampled = true}));
  EXPECT_TRUE(settings.Take("net", TraceContext{.is_sampled = true}));
}

TEST(TraceSettingsTest, NoneIsTakenWhenTheyAreOff) {
  TraceSettingsByModel settings({.is_on = false, .rate = 1});
  EXPECT_FALSE(settings.Take("net", std::nullopt));
  EXPECT_FALSE(settings.Take("net", TraceContext{.is_sampled = true}));
}

TEST(TraceSettingsTest, ACountIsWhatIsLeftToBeTaken) {
  TraceSettingsByModel settings({.rate = 1, .count = 2});
  EXPECT_THAT(TakeEach(settings, 4), ElementsAre(true, true, false, false));
  EXPECT_EQ(settings.Get("").count, 0);
  settings.Change("", {.count = 1});
  EXPECT_THAT(TakeEach(settings, 2), ElementsAre(true, false));
}

TEST(TraceSettingsTest, AModelHasItsOwnUntilTheyAreCleared) {
  TraceSettingsByModel settings({.rate = 1});
  settings.Change("net", {.is_on = false, .count = 7});
  EXPECT_FALSE(settings.Take("net", std::nullopt));
  EXPECT_TRUE(settings.Take("other", std::nullopt));
  EXPECT_EQ(settings.Get("net").count, 7);
  settings.Change("net", {.is_on = std::optional<bool>()});
  EXPECT_TRUE(settings.Take("net", std::nullopt));
  EXPECT_EQ(settings.Get("net").count, 6);
  EXPECT_EQ(settings.Get("").count, -1);
}

TEST(TraceSettingsTest, ThoseOfAllModelsAreClearedToThoseOfTheStart) {
  TraceSettingsByModel settings({.rate = 5});
  settings.Change("", {.is_on = false, .rate = 9});
  EXPECT_EQ(settings.Get("net").rate, 9);
  settings.Change("", {.is_on = std::optional<bool>(), .rate = std::optional<int64_t>()});
  EXPECT_EQ(settings.Get("net").rate, 5);
  EXPECT_TRUE(settings.Get("net").is_on);
}

}  // namespace
}  // namespace torchdeploy::server
