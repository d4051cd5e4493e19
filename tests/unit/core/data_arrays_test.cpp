#include "data/arrays/array_file.hpp"
#include "data/arrays/npz_writer.hpp"
#include "data/arrays/transitions.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "base/files.hpp"
#include "data/bytes/source.hpp"
#include "support/byte_sources.hpp"
#include "support/errors.hpp"
#include "support/temporary_folder.hpp"

namespace ae::data::arrays_test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Numbers = std::vector<double>;

struct Given {
  std::vector<std::int64_t> shape;
  Numbers values;
  std::string type = "<f8";
};
using GivenArrays = std::vector<std::pair<std::string, Given>>;

std::string npz(const GivenArrays& arrays) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "arrays.npz";
  auto output = Output::open(path, false);
  NpzWriter writer(output);
  for (const auto& [name, array] : arrays) {
    writer.begin(name, array.type, array.shape);
    writer.add(array.values);
  }
  writer.finish();
  output.commit();
  return read_file(path, FileKind::data);
}

std::shared_ptr<const ArrayFile> opened(const std::string& bytes) {
  return open_numpy_arrays(std::make_shared<test::MemoryAccess>(bytes));
}

Numbers counting(std::int64_t count) {
  Numbers values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), 0);
  return values;
}

// What a reader gives in blocks of some size: next observations by their first element, -1 where there is none.
struct Told {
  Numbers observations, next, rewards;
  std::vector<int> terminated, last, reset;
};

Told read_all(const Transitions& transitions, std::int64_t at_once) {
  Told told;
  TransitionBlock block;
  const auto reader = transitions.read();
  const auto width = static_cast<std::size_t>(transitions.width());
  while (reader->next(at_once, block)) {
    EXPECT_EQ(block.first, std::ssize(told.next));
    for (std::size_t i = 0; i < static_cast<std::size_t>(block.count); ++i) {
      told.observations.push_back(block.observations[i * width]);
      told.next.push_back(block.has_next[i] ? block.next[i * width] : -1);
      if (!block.rewards.empty()) told.rewards.push_back(block.rewards[i]);
      told.terminated.push_back(block.terminated[i]);
      told.last.push_back(block.last[i]);
      told.reset.push_back(block.reset[i]);
    }
  }
  return told;
}

Told told_by(const GivenArrays& arrays, std::int64_t at_once, const TransitionOptions& options = {}) {
  return read_all(Transitions(opened(npz(arrays)), options), at_once);
}

TEST(Arrays, AreReadAsTheyWereWritten) {
  const auto file = opened(npz({{"whole", {{2, 2}, {1, 2, -3, 4}, "<i8"}},
                                {"bytes", {{3}, {0, 7, 255}, "|u1"}},
                                {"floats", {{2}, {0.5, -1e30}, "<f4"}},
                                {"none", {{0, 4}, {}}}}));
  ASSERT_EQ(file->arrays().size(), 4u);
  const auto read = [&](const char* name, std::size_t count) {
    Numbers values(count);
    const auto stream = file->open(*file->find(name));
    stream->read(values);
    stream->finish();
    return values;
  };
  EXPECT_THAT(read("whole", 4), ElementsAre(1, 2, -3, 4));
  EXPECT_THAT(read("bytes", 3), ElementsAre(0, 7, 255));
  EXPECT_THAT(read("floats", 2), ElementsAre(0.5, static_cast<double>(-1e30f)));
  EXPECT_THAT(read("none", 0), ElementsAre());
  EXPECT_THAT(file->find("whole")->shape, ElementsAre(2, 2));
}

TEST(Arrays, ThatAreDamagedAreRefusedInOneLine) {
  const auto whole = npz({{"observations", {{4, 2}, counting(8)}}});
  auto flipped = whole;
  flipped[whole.size() / 2] = static_cast<char>(flipped[whole.size() / 2] ^ 1);
  const auto read = [](const std::string& bytes) {
    const auto file = opened(bytes);
    Numbers values(8);
    const auto stream = file->open(file->arrays().front());
    stream->read(values);
    stream->finish();
  };
  EXPECT_EQ(test::error_of([&] { read(whole); }), "no error");
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_EQ(test::errors_of<InputError>([&] { read(whole.substr(0, size)); }).size(), 1u) << size;
  EXPECT_THAT(test::error_of([&] { read(flipped); }), HasSubstr("arrays.npz"));
}

TEST(Arrays, AreSummedInBlocks) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "arrays.npz";
  auto output = Output::open(path, false);
  NpzWriter writer(output);
  const std::vector<std::int64_t> few{3}, many{1500};
  writer.begin("few", "|u1", few);
  writer.add_bytes("abc");
  EXPECT_EQ(writer.sums().size(), 1u);
  writer.begin("many", "<f8", many);  // 128 bytes of header and 12000 of elements: blocks of 4096, 4096 and 3936
  writer.add(counting(1500));
  writer.finish();
  output.commit();
  ASSERT_EQ(writer.sums().size(), 4u);
  const auto file = read_file(path, FileKind::data);
  const auto begin = file.find("\x93NUMPY", file.find("\x93NUMPY") + 1);
  EXPECT_EQ(writer.sums()[2], crc32(0, reinterpret_cast<const Bytef*>(file.data() + begin + 4096), 4096));
  EXPECT_EQ(writer.sums()[3], crc32(0, reinterpret_cast<const Bytef*>(file.data() + begin + 8192), 3936));
}

TEST(Transitions, TakeTheNextRowButNeverAcrossAnEnd) {
  // Rows 2 and 5 are the ends of episodes, one by its task, one by time; row 7 is the file's last.
  const GivenArrays arrays{{"observations", {{8, 2}, counting(16)}},
                           {"rewards", {{8}, counting(8), "<f4"}},
                           {"terminals", {{8}, {0, 0, 1, 0, 0, 0, 0, 0}, "|u1"}},
                           {"timeouts", {{8}, {0, 0, 0, 0, 0, 1, 0, 0}, "|u1"}}};
  for (const std::int64_t at_once : {1, 2, 3, 5, 8, 100}) {
    const auto told = told_by(arrays, at_once);
    EXPECT_THAT(told.observations, ElementsAre(0, 2, 4, 6, 8, 10, 12, 14));
    EXPECT_THAT(told.next, ElementsAre(2, 4, -1, 8, 10, -1, 14, -1)) << at_once;
    EXPECT_THAT(told.terminated, ElementsAre(0, 0, 1, 0, 0, 0, 0, 0));
    EXPECT_THAT(told.last, ElementsAre(0, 0, 1, 0, 0, 1, 0, 0));  // the file ends there, of an episode nobody knows
    EXPECT_EQ(told.rewards, counting(8));
  }
}

TEST(Transitions, TellEpisodesByTheirNumbers) {
  for (const std::int64_t at_once : {1, 2, 4, 9})
    EXPECT_THAT(told_by({{"obs", {{6}, counting(6)}}, {"episode", {{6}, {3, 3, 4, 4, 4, 9}}}}, at_once).next,
                ElementsAre(1, -1, 3, 4, -1, -1));
}

TEST(Transitions, HaveTheNextObservationThatIsStored) {
  const auto told = told_by({{"s", {{3}, {0, 1, 5}}}, {"s_next", {{3}, {1, 2, 6}}}, {"done", {{3}, {0, 1, 0}}}}, 2);
  EXPECT_THAT(told.next, ElementsAre(1, 2, 6));
  EXPECT_THAT(told.terminated, ElementsAre(0, 1, 0));
}

TEST(Transitions, ByEpisodesHaveARowMoreThanSteps) {
  const GivenArrays arrays{{"frames", {{2, 4, 1}, {0, 1, 2, 3, 10, 11, 12, 13}}}, {"reward", {{2, 3}, counting(6)}}};
  for (const std::int64_t at_once : {1, 2, 3, 6}) {
    const auto told = told_by(arrays, at_once);
    EXPECT_THAT(told.observations, ElementsAre(0, 1, 2, 10, 11, 12));
    EXPECT_THAT(told.next, ElementsAre(1, 2, 3, 11, 12, 13)) << at_once;
    EXPECT_THAT(told.last, ElementsAre(0, 0, 1, 0, 0, 1));
    EXPECT_THAT(told.terminated, ElementsAre(0, 0, 0, 0, 0, 0));
  }
}

TEST(Transitions, ThatAreDoneByATimeLimitAreNotTerminated) {
  const auto told =
      told_by({{"obs", {{3}, counting(3)}}, {"dones", {{3}, {1, 0, 1}}}, {"truncated", {{3}, {0, 0, 1}}}}, 3);
  EXPECT_THAT(told.terminated, ElementsAre(1, 0, 0));
  EXPECT_THAT(told.last, ElementsAre(1, 0, 1));
}

TEST(Transitions, OfVectorEnvironmentsAreNotThoseAfterAnEnd) {
  TransitionOptions options;
  options.resets_are_rows = true;
  const auto told = told_by({{"obs", {{5}, counting(5)}}, {"terminations", {{5}, {0, 1, 0, 0, 0}}}}, 2, options);
  EXPECT_THAT(told.reset, ElementsAre(0, 0, 1, 0, 0));
}

TEST(Transitions, OfVectorEnvironmentsHaveNoResetAtTheBeginningOfAnEpisode) {
  TransitionOptions options;
  options.resets_are_rows = true;
  const auto told =
      told_by({{"obs", {{2, 4}, counting(8)}}, {"terminations", {{2, 3}, {0, 0, 1, 0, 0, 0}}}}, 2, options);
  EXPECT_THAT(told.reset, ElementsAre(0, 0, 0, 0, 0, 0));
}

TEST(Transitions, BySteps) {
  // Three steps of two environments; the first one's episode ends at the second step.
  const GivenArrays arrays{{"obs", {{3, 2, 1}, {0, 10, 1, 11, 2, 12}}},
                           {"rewards", {{3, 2}, counting(6)}},
                           {"dones", {{3, 2}, {0, 0, 1, 0, 0, 0}}}};
  TransitionOptions options;
  options.layout = TransitionLayout::steps;
  for (const std::int64_t at_once : {1, 2, 3, 4, 5, 6, 7}) {
    const auto told = told_by(arrays, at_once, options);
    EXPECT_THAT(told.observations, ElementsAre(0, 10, 1, 11, 2, 12));
    EXPECT_THAT(told.next, ElementsAre(1, 11, -1, 12, -1, -1)) << at_once;
    EXPECT_EQ(told.rewards, counting(6));
    EXPECT_THAT(told.last, ElementsAre(0, 0, 1, 0, 0, 0));
  }
  options.resets_are_rows = true;
  EXPECT_THAT(told_by(arrays, 2, options).reset, ElementsAre(0, 0, 0, 0, 1, 0));
  // A step more of observations says so by itself.
  auto one_more = arrays;
  one_more[0].second = {{4, 2, 1}, {0, 10, 1, 11, 2, 12, 3, 13}};
  for (const std::int64_t at_once : {1, 3, 6})
    EXPECT_THAT(told_by(one_more, at_once).next, ElementsAre(1, 11, -1, 12, 3, 13)) << at_once;
  auto numbered = arrays;
  numbered[2] = {"episode", {{3, 2}, {5, 6, 5, 6, 7, 6}}};
  options.resets_are_rows = false;
  for (const std::int64_t at_once : {1, 2, 4, 6})
    EXPECT_THAT(told_by(numbered, at_once, options).next, ElementsAre(1, 11, -1, 12, -1, -1)) << at_once;
}

TEST(Transitions, ByEpisodesOrStepsAreNotGuessed) {
  const auto told = [](const Numbers& dones, bool stored = false) {
    GivenArrays arrays{{"obs", {{4, 3}, counting(12)}}, {"dones", {{4, 3}, dones}}};
    if (stored) arrays.push_back({"next_obs", {{4, 3}, counting(12)}});
    return test::error_of([&] { Transitions(opened(npz(arrays)), {}); });
  };
  EXPECT_EQ(told({0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1}), "no error");  // each row is an episode
  EXPECT_THAT(told({0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 1}), AllOf(HasSubstr("inside a row"), HasSubstr("--layout")));
  EXPECT_THAT(told({0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}), AllOf(HasSubstr("too few"), HasSubstr("--layout")));
  EXPECT_EQ(told({0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, true), "no error");
  TransitionOptions options;
  options.layout = TransitionLayout::episodes;
  const auto read = told_by({{"obs", {{2, 3}, counting(6)}}, {"dones", {{2, 3}, {0, 1, 0, 0, 0, 0}}}}, 4, options);
  EXPECT_THAT(read.next, ElementsAre(1, -1, -1, 4, 5, -1));
}

TEST(Transitions, SayWhereEndsMayBeUntold) {
  const auto bridges = [](const GivenArrays& more) {
    GivenArrays arrays{{"obs", {{4}, counting(4)}}};
    arrays.insert(arrays.end(), more.begin(), more.end());
    return Transitions(opened(npz(arrays)), {}).bridges_untold_ends();
  };
  const Given none{{4}, {0, 0, 0, 0}};
  EXPECT_TRUE(bridges({{"terminals", none}}));
  EXPECT_FALSE(bridges({{"terminals", none}, {"timeouts", none}}));
  EXPECT_FALSE(bridges({{"terminals", none}, {"episode", none}}));
  EXPECT_FALSE(bridges({{"terminals", none}, {"next_obs", none}}));
  EXPECT_FALSE(bridges({{"dones", none}}));
}

// Two episodes that nothing tells apart but next observations.
TEST(Transitions, WithoutNextOnesTakeTheNextRowWhereThatIsTheNextOneInTheOther) {
  const Transitions one(opened(npz({{"obs", {{5, 1}, {0, 1, 10, 11, 12}}},
                                    {"next_obs", {{5, 1}, {1, 2, 11, 12, 13}}},
                                    {"terminals", {{5}, {0, 0, 0, 0, 0}}}})),
                        {});
  const auto stored = npz({{"obs", {{5, 1}, {100, 101, 110, 111, 112}}}});
  for (const std::int64_t at_once : {1, 2, 3, 5})
    EXPECT_THAT(read_all(Transitions(opened(stored), {}, &one), at_once).next, ElementsAre(101, -1, 111, 112, -1));
}

TEST(Transitions, OfAnotherFileMayHaveEpisodesWithoutSteps) {
  const auto episodes = [](bool all) {
    GivenArrays arrays;
    for (const std::int64_t e : {0, 1, 2}) {
      const auto folder = "episode_" + std::to_string(e) + "/";
      const std::int64_t steps = e == 1 ? 0 : 2 + e;
      arrays.push_back({folder + "observations", {{steps + 1}, counting(steps + 1)}});
      if (all) arrays.push_back({folder + "rewards", {{steps}, counting(steps)}});
    }
    return npz(arrays);
  };
  const Transitions one(opened(episodes(true)), {});
  EXPECT_THAT(read_all(Transitions(opened(episodes(false)), {}, &one), 3).next, ElementsAre(1, 2, 1, 2, 3, 4));
}

TEST(Transitions, OfAnotherFileHaveObservationsOfTheSameShape) {
  const Transitions one(
      opened(npz({{"obs", {{2, 3, 2, 2}, counting(24)}}, {"next_obs", {{2, 3, 2, 2}, counting(24)}}})), {});
  const auto error = [&](std::vector<std::int64_t> shape) {
    const auto bytes = npz({{"obs", {shape, counting(24)}}, {"next_obs", {shape, counting(24)}}});
    return test::error_of([&] { Transitions(opened(bytes), {}, &one); });
  };
  EXPECT_THAT(error({2, 2, 2, 3}), AllOf(HasSubstr("shape (2, 2, 3)"), HasSubstr("expected (3, 2, 2)")));
  EXPECT_EQ(error({2, 12}), "no error");
  EXPECT_EQ(error({2, 1, 3, 2, 2}), "no error");
}

TEST(Transitions, OfAnotherFileNeedNotHaveTheUsersNames) {
  TransitionOptions options;
  options.arrays = {{TransitionRole::observations, "vec"}, {TransitionRole::next_observations, "vec2"}};
  const Transitions one(opened(npz({{"vec", {{2}, {1, 2}}}, {"vec2", {{2}, {3, 4}}}})), options);
  const auto usual = npz({{"observations", {{2}, {5, 6}}}, {"next_observations", {{2}, {7, 8}}}});
  EXPECT_THAT(read_all(Transitions(opened(usual), options, &one), 2).next, ElementsAre(7, 8));
  EXPECT_THAT(test::error_of<InputError>([&] { Transitions(opened(usual), options); }), HasSubstr("no array \"vec\""));
}

TEST(Transitions, HaveNoNextObservationOnlyWhereAllOfItIsNaN) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  const Transitions transitions(
      opened(npz({{"s", {{3, 2}, counting(6)}}, {"s_next", {{3, 2}, {1, 2, kNaN, kNaN, kNaN, 6}}}})), {});
  TransitionBlock block;
  ASSERT_TRUE(transitions.read()->next(3, block));
  EXPECT_THAT(block.has_next, ElementsAre(1, 0, 1));
  EXPECT_TRUE(std::isnan(block.next[4]));
}

TEST(Transitions, OfAnotherFileMayHoldObservationsOnly) {
  const Transitions one(opened(npz({{"observations", {{2, 3, 1}, counting(6)}}, {"rewards", {{2, 2}, counting(4)}}})),
                        {});
  const Transitions other(opened(npz({{"observations", {{2, 3, 1}, {7, 8, 9, 17, 18, 19}}}})), {}, &one);
  EXPECT_THAT(read_all(other, 3).next, ElementsAre(8, 9, 18, 19));
  const auto wrong = npz({{"observations", {{2, 4, 1}, counting(8)}}});
  EXPECT_THAT(test::error_of<InputError>([&] { Transitions(opened(wrong), {}, &one); }), HasSubstr("expected"));
}

TEST(Transitions, ThatDoNotGoTogetherAreRefused) {
  const auto error = [](const GivenArrays& arrays) {
    return test::error_of<InputError>([&] { Transitions(opened(npz(arrays)), {}); });
  };
  EXPECT_THAT(error({{"rewards", {{3}, counting(3)}}}), HasSubstr("no observations"));
  EXPECT_THAT(error({{"observations", {{3}, counting(3)}}}), HasSubstr("where episodes end"));
  EXPECT_THAT(error({{"observations", {{3}, counting(3)}}, {"terminals", {{4}, counting(4)}}}),
              AllOf(HasSubstr("observations (3,)"), HasSubstr("4 transitions")));
  EXPECT_THAT(
      error({{"observations", {{3}, counting(3)}}, {"rewards", {{3}, counting(3)}}, {"terminals", {{2}, {0, 1}}}}),
      HasSubstr("terminals (2,)"));
  EXPECT_THAT(error({{"observations", {{3, 2}, counting(6)}}, {"next_observations", {{3, 1}, counting(3)}}}),
              HasSubstr("next_observations (3, 1)"));
  EXPECT_THAT(error({{"observations", {{0, 2}, {}}}, {"terminals", {{0}, {}}}}), HasSubstr("no transitions"));
  EXPECT_THAT(error({{"observations", {{3, 0}, {}}}, {"terminals", {{3}, counting(3)}}}), HasSubstr("elements"));
}

}  // namespace
}  // namespace ae::data::arrays_test
