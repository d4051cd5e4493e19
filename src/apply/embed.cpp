#include "apply/embed.hpp"

#include <ATen/Functions.h>
#include <torch/types.h>

#include <span>

#include "apply/embed_images.hpp"
#include "apply/passing.hpp"
#include "apply/streams.hpp"
#include "base/error.hpp"
#include "loss/codes.hpp"

namespace ae::apply {
namespace {

// [samples, numbers of a code + 1]
at::Tensor codes_and_loss(const loss::Autoencoder& pair, const model::Batch& batch) {
  const auto reconstruction = pair.reconstruct(batch);
  const auto loss = reconstruction.elements.sum(1) / batch.observed.sum(1).clamp_min(1);
  return at::cat({loss::codes(pair, batch), loss.unsqueeze(1)}, 1).contiguous();
}

EmbedTotals embed_samples(const recipe::Checkpoint& checkpoint, const EmbedOptions& options, CodeFile& file,
                          Reporter& reporter) {
  const auto& pair = checkpoint.autoencoder();
  auto names = code_names(pair.members(), pair.network().latent_size());
  if (options.loss) names.emplace_back("loss");
  Passing passing(options.stream.reading, std::move(names));
  UnreadSamples unread(reporter);
  const auto stream = open_stream(checkpoint, options.stream, reporter);
  EmbedTotals totals;
  bool begun = false;
  const auto begin = [&] {
    if (!begun) passing.begin(file, stream->has_labels());
    begun = true;
  };
  stream->for_each([&](const recipe::SampleBlock& block) {
    begin();
    const auto codes = options.loss ? codes_and_loss(pair, block.batch) : loss::codes(pair, block.batch);
    const auto numbers = static_cast<std::size_t>(codes.size(1));
    for (std::int64_t i = 0; i < block.batch.samples(); ++i) {
      std::span<const float> code{codes.data_ptr<float>() + i * codes.size(1), numbers};
      const bool read = !Passing::unread(block, i);
      if (!read) {
        unread.tell(block.problems[static_cast<std::size_t>(i)]);
        code = {};
      }
      const auto id = Passing::id_of(block, i);
      check_finite(code, id);
      file.add(id, code, passing.texts_of(block, i));
      totals.samples += read;
    }
    file.flush();  // a block ends where the input makes us wait: answer what is there
  });
  begin();
  file.finish();
  totals.bad = stream->bad();
  check_any(totals.samples, totals.bad, options.stream.allow_empty);
  return totals;
}

}  // namespace

std::vector<std::string> code_names(std::int64_t members, std::int64_t numbers) {
  std::vector<std::string> names;
  for (std::int64_t z = 0; z < members * numbers; ++z) names.push_back("z" + std::to_string(z));
  return names;
}

EmbedTotals embed(const recipe::Checkpoint& checkpoint, const EmbedOptions& options, CodeFile& file,
                  Reporter& reporter) {
  check_network(checkpoint, "ae-embed", "encode samples");
  const bool images = checkpoint.kind().domain().gridded();
  if (images && options.loss)
    throw UsageError(checkpoint.name() + ": was trained on images; --loss is for tables, ae-score scores images");
  return images ? embed_images(checkpoint, options, file, reporter)
                : embed_samples(checkpoint, options, file, reporter);
}

}  // namespace ae::apply
