#include "data/tables/unsuitable.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/random.hpp"
#include "data/tables/stand_ins.hpp"

namespace ae::data::unsuitable_test {
namespace {

TEST(Order, TellsWhatOnlyRisesOrFallsOfEnoughDifferentNumbers) {
  Order rises, falls, waves, constant;
  for (int i = 0; i < 120; ++i) {
    rises.add(i / 2);
    falls.add(-i);
    waves.add(i == 119 ? 0 : i);
    constant.add(3);
  }
  EXPECT_EQ(rises.told(60), "rises");
  EXPECT_EQ(rises.told(61), "");
  EXPECT_EQ(falls.told(120), "falls");
  EXPECT_EQ(waves.told(2), "");
  EXPECT_EQ(constant.told(2), "");
  EXPECT_EQ(Order().told(1), "");
}

TEST(AllDifferent, AgreesWithASet) {
  Random random(stream_key(1, "digests"));
  for (int round = 0; round < 300; ++round) {
    const auto count = 1 + random.below(700), range = 1 + random.below(200000);
    AllDifferent different;
    std::set<std::uint64_t> seen;
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto digest = random.below(range);
      different.add(digest);
      seen.insert(digest);
    }
    EXPECT_EQ(different.holds(), seen.size() == count) << count << " of " << range;
  }
}

TEST(TimeNumbers, AreSecondsSince1970OrDates) {
  const auto holds = [](std::initializer_list<double> values) {
    TimeNumbers times;
    for (const double value : values) times.add(value);
    return times.holds();
  };
  EXPECT_TRUE(holds({1700000000, 1600000000.5}));
  EXPECT_TRUE(holds({1700000000123, 1600000000456}));
  EXPECT_TRUE(holds({20240131, 19991231}));
  EXPECT_TRUE(holds({202401, 199912}));
  EXPECT_FALSE(holds({20241301}));
  EXPECT_FALSE(holds({202413}));
  EXPECT_FALSE(holds({202400}));
  EXPECT_FALSE(holds({202401, 2024}));
  EXPECT_FALSE(holds({1700000000, 5}));
}

// The candidates of `numbers` that lie far from 20 different numbers from `least` on, `step` apart, as texts.
std::vector<std::string> stand_ins(std::initializer_list<double> numbers, double least = 0, double step = 1) {
  StandIns all;
  for (int i = 0; i < 20; ++i) all.add(least + step * i, "");
  for (const double number : numbers) all.add(number, "", 3);
  std::vector<std::string> texts;
  for (const auto& one : all.found()) texts.push_back(one.text);
  return texts;
}

TEST(StandIns, AreRepeatedNinesAndMinusOneFarFromAllOthers) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(stand_ins({-999, -9999, 99, 99999, -99.9, -999.25, -32768}),
            (Texts{"-999", "-9999", "99", "99999", "-99.9", "-999.25", "-32768"}));
  EXPECT_EQ(stand_ins({1e20, 9.96921e36, -1e30}), (Texts{"1e+20", "9.96921e+36", "-1e+30"}));
  EXPECT_EQ(stand_ins({-998, 990, 100, 89, -9, 9, -32767, 1e18}), Texts());
  EXPECT_EQ(stand_ins({-1}), Texts()) << "nearer than the others' range";
  EXPECT_EQ(stand_ins({-1}, 1990), Texts{"-1"});
  EXPECT_EQ(stand_ins({99, 999}, 0, 10), Texts{"999"}) << "within the others' range, and beyond";
  EXPECT_EQ(stand_ins({9999}, 0, 1000), Texts());
  EXPECT_EQ(stand_ins({-999}, 0, 1000), Texts{"-999"}) << "the only negative number";
  EXPECT_EQ(stand_ins({-999}, -900, 100), Texts());
}

TEST(StandIns, NeedThreeCellsAndMoreThanTenOtherNumbers) {
  StandIns all;
  all.add(-999, "-999.0", 2);
  for (int i = 0; i < 100; ++i) all.add(i % 10, "");
  EXPECT_TRUE(all.found().empty());
  all.add(-999, "-999", 1);
  EXPECT_TRUE(all.found().empty()) << "the others may be codes, and so may this";
  all.add(11, "");
  ASSERT_EQ(all.found().size(), 1u);
  EXPECT_EQ(all.found()[0].text, "-999.0");
  EXPECT_EQ(all.found()[0].cells, 3);
}

TEST(LabelTie, OneToOneNeedsTwoLabelsManyRowsAndNoException) {
  const auto tied = [](int rows, auto&& value_of) {
    LabelTie tie;
    for (int i = 0; i < rows; ++i) {
      const double value = value_of(i);
      tie.add(i % 3, static_cast<std::uint64_t>(value), value);
    }
    return tie.one_to_one();
  };
  EXPECT_TRUE(tied(60, [](int i) { return 10 + i % 3; }));
  EXPECT_FALSE(tied(50, [](int i) { return 10 + i % 3; })) << "too few rows";
  EXPECT_FALSE(tied(60, [](int i) { return i == 59 ? 11 : 10 + i % 3; }));
  EXPECT_FALSE(tied(60, [](int i) { return i % 3 == 0 ? 1 : 2; })) << "two labels share a value";
  EXPECT_FALSE(tied(60, [](int) { return 1; }));
  LabelTie one;
  for (int i = 0; i < 60; ++i) one.add(0, 5, 5.0);
  EXPECT_FALSE(one.one_to_one());
}

TEST(LabelTie, AThresholdPartsWhatDoesNotOverlap) {
  const auto parts = [](double shift, std::int64_t others) {
    LabelTie tie;
    for (int i = 0; i < 100; ++i) {
      const bool other = i < others;
      tie.add(other ? 1 + i % 2 : 0, 0, i * 0.01 + (other ? shift : 0));
    }
    return tie.parts({true, false, false});
  };
  EXPECT_TRUE(parts(2, 10));
  EXPECT_TRUE(parts(-2, 10));
  EXPECT_FALSE(parts(0.5, 10));
  EXPECT_FALSE(parts(2, 4)) << "so few may lie apart by chance";
}

}  // namespace
}  // namespace ae::data::unsuitable_test
