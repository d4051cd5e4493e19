// The classifier of images against loops over plain numbers, and its loss's gradient against finite differences of
// them.
#include "train/image_classifier.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <vector>

#include "attack/attacks.hpp"
#include "recipe/classes.hpp"
#include "support/temporary_folder.hpp"
#include "value/script_file.hpp"

namespace ae::train::image_classifier_test {
namespace {

using Numbers = std::vector<double>;

struct Grid {
  std::int64_t channels, height, width;
  Numbers values;
  double at(std::int64_t c, std::int64_t y, std::int64_t x) const {
    const bool inside = y >= 0 && y < height && x >= 0 && x < width;
    return inside ? values[static_cast<std::size_t>((c * height + y) * width + x)] : 0;
  }
};

Numbers numbers(const at::Tensor& tensor) {
  const auto flat = tensor.detach().to(at::kDouble).contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

// 5 x 5 with zeros around, rectified, and the largest of each 2 x 2, also of what is left at the end.
Grid convolved(const Grid& in, const Numbers& weight, const Numbers& bias) {
  const auto outputs = std::ssize(bias);
  Grid out{outputs, (in.height + 1) / 2, (in.width + 1) / 2, {}};
  out.values.assign(static_cast<std::size_t>(outputs * out.height * out.width), 0);
  for (std::int64_t o = 0; o < outputs; ++o)
    for (std::int64_t y = 0; y < in.height; ++y)
      for (std::int64_t x = 0; x < in.width; ++x) {
        double sum = bias[static_cast<std::size_t>(o)];
        for (std::int64_t c = 0; c < in.channels; ++c)
          for (std::int64_t i = 0; i < 5; ++i)
            for (std::int64_t j = 0; j < 5; ++j)
              sum += weight[static_cast<std::size_t>(((o * in.channels + c) * 5 + i) * 5 + j)] *
                     in.at(c, y + i - 2, x + j - 2);
        double& most = out.values[static_cast<std::size_t>((o * out.height + y / 2) * out.width + x / 2)];
        most = std::max(most, sum);
      }
  return out;
}

// Means over at most 7 x 7 parts, which overlap where the size is no multiple.
Grid averaged(const Grid& in) {
  Grid out{in.channels, std::min<std::int64_t>(in.height, 7), std::min<std::int64_t>(in.width, 7), {}};
  const auto begin = [](std::int64_t i, std::int64_t parts, std::int64_t size) { return i * size / parts; };
  const auto end = [](std::int64_t i, std::int64_t parts, std::int64_t size) {
    return ((i + 1) * size + parts - 1) / parts;
  };
  for (std::int64_t c = 0; c < in.channels; ++c)
    for (std::int64_t i = 0; i < out.height; ++i)
      for (std::int64_t j = 0; j < out.width; ++j) {
        double sum = 0;
        std::int64_t count = 0;
        for (auto y = begin(i, out.height, in.height); y < end(i, out.height, in.height); ++y)
          for (auto x = begin(j, out.width, in.width); x < end(j, out.width, in.width); ++x, ++count)
            sum += in.at(c, y, x);
        out.values.push_back(sum / static_cast<double>(count));
      }
  return out;
}

Numbers dense(const Numbers& in, const Numbers& weight, const Numbers& bias, bool rectified) {
  Numbers out;
  for (std::size_t o = 0; o < bias.size(); ++o) {
    double sum = bias[o];
    for (std::size_t i = 0; i < in.size(); ++i) sum += weight[o * in.size() + i] * in[i];
    out.push_back(rectified ? std::max(sum, 0.0) : sum);
  }
  return out;
}

// The logits of one image, layer by layer.
Numbers slow_logits(const ImageClassifier& classifier, const Numbers& image) {
  std::vector<Numbers> weights;
  for (const auto& [name, tensor] : classifier.parameters()) weights.push_back(numbers(tensor));
  const auto& shape = classifier.shape();
  if (!shape.convolutional)
    return dense(dense(dense(image, weights[0], weights[1], true), weights[2], weights[3], true), weights[4],
                 weights[5], false);
  const Grid grid{shape.channels, shape.height, shape.columns, image};
  const auto seen = averaged(convolved(convolved(grid, weights[0], weights[1]), weights[2], weights[3]));
  return dense(dense(seen.values, weights[4], weights[5], true), weights[6], weights[7], false);
}

double slow_loss(const ImageClassifier& classifier, const Numbers& image, std::size_t label) {
  const auto z = slow_logits(classifier, image);
  double sum = 0;
  for (const double value : z) sum += std::exp(value - z[label]);
  return std::log(sum);
}

const std::vector<ClassifierShape> kShapes{
    {true, 2, 2, 9, 6, 3}, {true, 2, 1, 40, 31, 4}, {true, 3, 1, 1, 3, 2}, {false, 2, 3, 4, 5, 3}};

at::Tensor some_images(const ClassifierShape& shape, std::int64_t count) {
  torch::manual_seed(7);
  return torch::rand({count, shape.channels, shape.height, shape.columns});
}

TEST(ImageClassifier, ItsLogitsAreThoseOfLoops) {
  for (const auto& shape : kShapes) {
    const ImageClassifier classifier(shape, 3);
    const auto images = some_images(shape, 3);
    const auto logits = classifier.logits(images);
    for (std::int64_t i = 0; i < 3; ++i) {
      const auto slow = slow_logits(classifier, numbers(images[i])), fast = numbers(logits[i]);
      ASSERT_EQ(fast.size(), slow.size());
      for (std::size_t k = 0; k < slow.size(); ++k) EXPECT_NEAR(fast[k], slow[k], 1e-5) << shape.height;
    }
  }
}

TEST(ImageClassifier, TheGradientOfItsLossIsThatOfFiniteDifferencesOfLoops) {
  for (const auto& shape : kShapes) {
    if (shape.height > 20) continue;  // slow
    const ImageClassifier classifier(shape, 4);
    const auto images = some_images(shape, 1).requires_grad_(true);
    const auto label = shape.classes - 1;
    attack::losses(attack::Loss::ce, classifier.logits(images), torch::tensor({label}, at::kLong)).sum().backward();
    const auto gradient = numbers(images.grad());
    auto image = numbers(images);
    constexpr double kStep = 1e-5;
    for (std::size_t p = 0; p < image.size(); ++p) {
      const double there = image[p];
      image[p] = there + kStep;
      const double above = slow_loss(classifier, image, static_cast<std::size_t>(label));
      image[p] = there - kStep;
      const double below = slow_loss(classifier, image, static_cast<std::size_t>(label));
      image[p] = there;
      EXPECT_NEAR(gradient[p], (above - below) / (2 * kStep), 1e-4) << p;
    }
    // Of the outputs' biases it is what the classes' probabilities are off by.
    const auto z = numbers(classifier.logits(images)[0]);
    double sum = 0;
    for (const double value : z) sum += std::exp(value);
    const auto of_bias = numbers(classifier.parameters().back().second.grad());
    for (std::size_t k = 0; k < z.size(); ++k)
      EXPECT_NEAR(of_bias[k], std::exp(z[k]) / sum - (std::cmp_equal(k, label) ? 1 : 0), 1e-5);
  }
}

TEST(ImageClassifier, TheScriptAnswersAsItDoesAndTellsItsClasses) {
  const test::TemporaryFolder folder;
  for (const auto& shape : kShapes) {
    const ImageClassifier classifier(shape, 5);
    std::vector<std::string> names;
    for (std::int64_t k = 0; k < shape.classes; ++k) names.push_back("class " + std::to_string(k));
    const auto bytes = classifier_script(classifier, names, "a test");
    EXPECT_EQ(bytes, classifier_script(classifier, names, "a test"));
    const auto path = folder.path() / "classifier.pt";
    std::ofstream(path, std::ios::binary) << bytes;
    const value::ScriptFile script(path);
    EXPECT_EQ(script.texts("classes"), names);
    EXPECT_TRUE(script.texts("made_by").empty());
    EXPECT_TRUE(script.texts("nothing").empty());
    const auto images = some_images(shape, 4);
    EXPECT_TRUE(at::allclose(script(images), classifier.logits(images), 1e-5, 1e-6));
    EXPECT_ANY_THROW(script(some_images(shape, 4).flatten(1)));
  }
}

TEST(ImageClassifier, TheSameSeedGivesTheSameWeights) {
  const ImageClassifier a(kShapes[0], 1), b(kShapes[0], 1), c(kShapes[0], 2);
  for (std::size_t i = 0; i < a.parameters().size(); ++i) {
    EXPECT_TRUE(a.parameters()[i].second.equal(b.parameters()[i].second));
    EXPECT_FALSE(a.parameters()[i].second.equal(c.parameters()[i].second));
  }
}

TEST(ClassNames, NumbersGoByTheirValueAndTextsByTheirBytes) {
  using recipe::class_names;
  const auto names = [](std::vector<std::string> labels) { return class_names(labels); };
  EXPECT_THAT(names({"10", "9", "2", "9"}), testing::ElementsAre("2", "9", "10"));
  EXPECT_THAT(names({"7", "-1", "0"}), testing::ElementsAre("-1", "0", "7"));
  EXPECT_THAT(names({"10", "9", "b"}), testing::ElementsAre("10", "9", "b"));
  EXPECT_THAT(names({"1.5", "10", "9"}), testing::ElementsAre("1.5", "10", "9"));
  EXPECT_THAT(names({"dog", "ant", "Cat"}), testing::ElementsAre("Cat", "ant", "dog"));
}

}  // namespace
}  // namespace ae::train::image_classifier_test
