// SPDX-License-Identifier: Apache-2.0
// Pictures of digits, drawn as strokes over a cluttered ground. Each picture has its own generator, so pictures depend
// neither on the number of threads nor on the number of pictures.
#include <mixgrad/data.h>
#include <mixgrad/error.h>
#include <mixgrad/rng.h>

#include <kernels/parallel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>
#include <string_view>
#include <utility>

namespace mixgrad::data {
namespace {

constexpr int side = 32, channels = 3, digits = 10;

struct Range {
  double low, high;
  float draw(Rng& rng) const { return static_cast<float>(rng.uniform(low, high)); }
};

// Difficulty. Lengths in pixels, angles in radians, colours and noise as fractions of the full range.
constexpr Range digit_half_height{8.0, 13.0};
constexpr Range digit_aspect{0.75, 1.25};
constexpr Range digit_rotation{-0.35, 0.35};
constexpr Range digit_shear{-0.3, 0.3};
constexpr Range digit_half_width{0.8, 1.9};  // of the pen
constexpr Range digit_contrast{0.24, 0.70};  // distance in RGB to the nearest colour of the ground
constexpr Range digit_warp{0.0, 0.12};       // as a fraction of half the digit's height
constexpr Range edge_softness{0.8, 1.8};     // distance over which ink fades
constexpr Range ground_colour{0.12, 0.88};
constexpr Range ground_spread{0.0, 0.30};  // distance of the gradient's ends from their mean, per channel
constexpr Range wave_amplitude{0.0, 0.06};
constexpr int blobs_at_most = 3;
constexpr Range blob_radius{2.0, 6.0};
constexpr int clutter_strokes_at_most = 4;
constexpr Range clutter_half_height{5.0, 12.0};
constexpr Range clutter_half_width{0.4, 1.6};
constexpr Range clutter_opacity{0.2, 0.65};
constexpr double occlusion_chance = 0.3;  // a thin line over the digit
constexpr Range occlusion_half_width{0.3, 0.8};
constexpr Range noise_deviation{0.02, 0.10};

struct Point {
  float x, y;
};
using Stroke = std::vector<Point>;
using Glyph = std::vector<Stroke>;
using Colour = std::array<float, channels>;

constexpr float pi = std::numbers::pi_v<float>;

/// Appends an elliptical arc; `from` and `to` in degrees, 0 at the right and 90 at the bottom.
Stroke with_arc(Stroke stroke, Point centre, float rx, float ry, float from, float to) {
  const int steps = std::max(2, static_cast<int>(std::abs(to - from) / 24.0F));
  for (int i = 0; i <= steps; ++i) {
    const float angle = (from + (to - from) * static_cast<float>(i) / static_cast<float>(steps)) * pi / 180.0F;
    stroke.push_back({centre.x + rx * std::cos(angle), centre.y + ry * std::sin(angle)});
  }
  return stroke;
}

Stroke with(Stroke stroke, std::initializer_list<Point> points) {
  stroke.insert(stroke.end(), points);
  return stroke;
}

/// The ways to write `digit`, in a box of [-0.6, 0.6] × [-1, 1], y downwards.
std::vector<Glyph> ways_to_write(int digit) {
  const Stroke six = with_arc(with_arc({}, {0.5F, 0.35F}, 1.0F, 1.3F, 262, 180), {0, 0.42F}, 0.5F, 0.53F, 180, 540);
  switch (digit) {
    case 0:
      return {{with_arc({}, {0, 0}, 0.55F, 0.95F, -90, 270)}};
    case 1:
      return {{{{-0.35F, -0.55F}, {0, -0.95F}, {0, 0.95F}}},
              {{{-0.35F, -0.55F}, {0, -0.95F}, {0, 0.95F}}, {{-0.4F, 0.95F}, {0.4F, 0.95F}}}};
    case 2:
      return {{with(with_arc({}, {0, -0.42F}, 0.5F, 0.53F, 185, 395), {{-0.55F, 0.95F}, {0.58F, 0.95F}})}};
    case 3:
      return {
          {with_arc(with_arc({}, {-0.05F, -0.48F}, 0.5F, 0.47F, 205, 450), {-0.05F, 0.47F}, 0.56F, 0.48F, 270, 515)},
          {with_arc({{-0.5F, -0.95F}, {0.45F, -0.95F}, {-0.1F, -0.15F}}, {-0.08F, 0.4F}, 0.58F, 0.55F, 270, 505)}};
    case 4:
      return {{{{0.25F, 0.95F}, {0.25F, -0.95F}, {-0.58F, 0.4F}, {0.58F, 0.4F}}},
              {{{-0.35F, -0.95F}, {-0.5F, 0.2F}, {0.55F, 0.2F}}, {{0.28F, -0.45F}, {0.28F, 0.95F}}}};
    case 5:
      return {{with_arc({{0.5F, -0.95F}, {-0.4F, -0.95F}, {-0.46F, -0.05F}}, {-0.02F, 0.35F}, 0.54F, 0.58F, 225, 505)}};
    case 6:
      return {{six}};
    case 7:
      return {{{{-0.52F, -0.95F}, {0.55F, -0.95F}, {-0.15F, 0.95F}}},
              {{{-0.52F, -0.95F}, {0.55F, -0.95F}, {-0.15F, 0.95F}}, {{-0.3F, 0}, {0.45F, 0}}}};
    case 8:
      return {{with_arc({}, {0, -0.48F}, 0.44F, 0.46F, 90, 450), with_arc({}, {0, 0.47F}, 0.54F, 0.49F, -90, 270)}};
    default: {
      Stroke nine = six;
      for (Point& p : nine) p = {-p.x, -p.y};
      return {{nine}};
    }
  }
}

/// A picture being drawn, with its strokes.
class Canvas {
 public:
  explicit Canvas(Rng& rng) : rng_(rng) { fill_ground(); }

  const std::array<Colour, 2>& ground() const { return ground_; }

  void draw(const Stroke& stroke, float half_width, float softness, const Colour& colour, float opacity) {
    measure({&stroke, 1}, half_width + softness);
    blend(half_width, softness, colour, opacity);
  }
  void draw(const Glyph& glyph, float half_width, float softness, const Colour& colour, float opacity) {
    measure(glyph, half_width + softness);
    blend(half_width, softness, colour, opacity);
  }

  /// Adds a soft spot.
  void draw_blob(Point centre, float radius, const Colour& colour, float opacity) {
    draw(Stroke{centre, centre}, 0.5F * radius, radius, colour, opacity);
  }

  void write(float deviation, uint8_t* pixels) {
    for (size_t i = 0; i < values_.size(); ++i) {
      const float value = values_[i] + deviation * noise();
      pixels[i] = static_cast<uint8_t>(std::clamp(value, 0.0F, 1.0F) * 255.0F + 0.5F);
    }
  }

 private:
  /// Fills the picture with a gradient between two colours and a grey wave over it.
  void fill_ground() {
    for (size_t c = 0; c < channels; ++c) {
      const float mean = ground_colour.draw(rng_);
      const float spread = ground_spread.draw(rng_) * (rng_.below(2) == 0 ? -0.5F : 0.5F);
      ground_[0][c] = std::clamp(mean - spread, 0.0F, 1.0F);
      ground_[1][c] = std::clamp(mean + spread, 0.0F, 1.0F);
    }
    const float direction = Range{0, 2 * pi}.draw(rng_), wave_direction = Range{0, pi}.draw(rng_);
    const float frequency = Range{0.25, 1.2}.draw(rng_), phase = Range{0, 2 * pi}.draw(rng_);
    const float amplitude = wave_amplitude.draw(rng_);
    for (int y = 0; y < side; ++y) {
      for (int x = 0; x < side; ++x) {
        const float u = (static_cast<float>(x) - 15.5F) / 16.0F, v = (static_cast<float>(y) - 15.5F) / 16.0F;
        const float t = std::clamp(0.5F + 0.5F * (u * std::cos(direction) + v * std::sin(direction)), 0.0F, 1.0F);
        const float along = 16.0F * (u * std::cos(wave_direction) + v * std::sin(wave_direction));
        const float wave = amplitude * std::sin(frequency * along + phase);
        for (size_t c = 0; c < channels; ++c)
          values_[static_cast<size_t>(y * side + x) * channels + c] =
              ground_[0][c] + t * (ground_[1][c] - ground_[0][c]) + wave;
      }
    }
  }

  /// Squared distance to the nearest stroke, for every pixel within `reach`.
  void measure(std::span<const Stroke> strokes, float reach) {
    distances_.fill(std::numeric_limits<float>::max());
    for (const Stroke& stroke : strokes)
      for (size_t i = 1; i < stroke.size(); ++i) measure_segment(stroke[i - 1], stroke[i], reach);
  }

  void measure_segment(Point a, Point b, float reach) {
    const auto clip = [](float v) { return static_cast<int>(std::clamp(v, 0.0F, static_cast<float>(side - 1))); };
    const int x0 = clip(std::floor(std::min(a.x, b.x) - reach)), x1 = clip(std::ceil(std::max(a.x, b.x) + reach));
    const int y0 = clip(std::floor(std::min(a.y, b.y) - reach)), y1 = clip(std::ceil(std::max(a.y, b.y) + reach));
    const float dx = b.x - a.x, dy = b.y - a.y;
    const float inverse = 1.0F / std::max(dx * dx + dy * dy, 1e-12F);
    for (int y = y0; y <= y1; ++y) {
      float* row = &distances_[static_cast<size_t>(y * side)];
      const float py = static_cast<float>(y) - a.y;
      for (int x = x0; x <= x1; ++x) {
        const float px = static_cast<float>(x) - a.x;
        const float t = std::min(std::max((px * dx + py * dy) * inverse, 0.0F), 1.0F);
        const float ex = px - t * dx, ey = py - t * dy;
        row[x] = std::min(row[x], ex * ex + ey * ey);
      }
    }
  }

  void blend(float half_width, float softness, const Colour& colour, float opacity) {
    const float outer = half_width + 0.5F * softness;
    for (size_t i = 0; i < distances_.size(); ++i) {
      if (distances_[i] >= outer * outer) continue;
      const float cover = opacity * std::min(1.0F, (outer - std::sqrt(distances_[i])) / softness);
      for (size_t c = 0; c < channels; ++c)
        values_[i * channels + c] += cover * (colour[c] - values_[i * channels + c]);
    }
  }

  /// Approximately standard normal: the sum of four uniform numbers, from one draw.
  float noise() {
    const uint64_t bits = rng_.next();
    const uint64_t sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
    return (static_cast<float>(sum) / 65536.0F - 2.0F) * std::numbers::sqrt3_v<float>;
  }

  Rng& rng_;
  std::array<Colour, 2> ground_{};
  std::array<float, side * side * channels> values_{};
  std::array<float, side * side> distances_{};
};

Colour draw_colour(Rng& rng) {
  Colour colour;
  for (float& c : colour) c = static_cast<float>(rng.uniform());
  return colour;
}

/// Distance of a colour to the nearest one of the gradient.
float contrast(const Colour& colour, const std::array<Colour, 2>& ground) {
  float nearest = std::numeric_limits<float>::max();
  for (const float t : {0.0F, 0.25F, 0.5F, 0.75F, 1.0F}) {
    float distance = 0.0F;
    for (size_t c = 0; c < channels; ++c) {
      const float d = colour[c] - (ground[0][c] + t * (ground[1][c] - ground[0][c]));
      distance += d * d;
    }
    nearest = std::min(nearest, distance);
  }
  return std::sqrt(nearest);
}

/// Of some random colours, the one whose contrast is nearest to the wanted one, so that there is always a result.
Colour draw_ink(Rng& rng, const std::array<Colour, 2>& ground) {
  const float wanted = digit_contrast.draw(rng);
  Colour best{};
  float best_error = std::numeric_limits<float>::max();
  for (int i = 0; i < 24; ++i) {
    const Colour colour = draw_colour(rng);
    const float error = std::abs(contrast(colour, ground) - wanted);
    if (error < best_error) best = colour, best_error = error;
  }
  return best;
}

Point draw_position(Rng& rng) {
  const float x = Range{0, side - 1}.draw(rng), y = Range{0, side - 1}.draw(rng);
  return {x, y};
}

/// Warps a glyph smoothly, then scales, shears and rotates it; the result is in pixels around the origin.
Glyph deform(Glyph glyph, float half_height, Rng& rng) {
  const float angle = digit_rotation.draw(rng), shear = digit_shear.draw(rng), aspect = digit_aspect.draw(rng);
  const float warp = digit_warp.draw(rng);
  const float phase_x = Range{0, 2 * pi}.draw(rng), phase_y = Range{0, 2 * pi}.draw(rng);
  const float cosine = std::cos(angle), sine = std::sin(angle);
  for (Stroke& stroke : glyph) {
    for (Point& p : stroke) {
      const float bent_x = p.x + warp * std::sin(2.5F * p.y + phase_x),
                  bent_y = p.y + warp * std::sin(2.5F * p.x + phase_y);
      const float x = half_height * aspect * (bent_x - shear * bent_y), y = half_height * bent_y;
      p = {cosine * x - sine * y, sine * x + cosine * y};
    }
  }
  return glyph;
}

void move(Glyph& glyph, float dx, float dy) {
  for (Stroke& stroke : glyph)
    for (Point& p : stroke) p = {p.x + dx, p.y + dy};
}

/// Places a glyph at random inside the picture, or in the middle if it is larger.
void place_inside(Glyph& glyph, float margin, Rng& rng) {
  Point low{1e9F, 1e9F}, high{-1e9F, -1e9F};
  for (const Stroke& stroke : glyph) {
    for (const Point p : stroke) {
      low = {std::min(low.x, p.x), std::min(low.y, p.y)};
      high = {std::max(high.x, p.x), std::max(high.y, p.y)};
    }
  }
  const auto offset = [&](float from, float to) {
    const float begin = margin - from, end = static_cast<float>(side - 1) - margin - to;
    return begin < end ? Range{begin, end}.draw(rng) : 0.5F * (begin + end);
  };
  const float dx = offset(low.x, high.x), dy = offset(low.y, high.y);
  move(glyph, dx, dy);
}

void draw_blobs(Canvas& canvas, Rng& rng) {
  const uint64_t count = rng.below(blobs_at_most + 1);
  for (uint64_t i = 0; i < count; ++i) {
    const Point centre = draw_position(rng);
    const float radius = blob_radius.draw(rng), opacity = clutter_opacity.draw(rng);
    canvas.draw_blob(centre, radius, draw_colour(rng), opacity);
  }
}

/// Distractors: fragments of other digits, paler than the digit and below it.
void draw_clutter(Canvas& canvas, const std::vector<std::vector<Glyph>>& font, Rng& rng) {
  const uint64_t count = rng.below(clutter_strokes_at_most + 1);
  for (uint64_t i = 0; i < count; ++i) {
    const auto& ways = font[rng.below(digits)];
    Stroke part = ways[rng.below(ways.size())].front();
    const uint64_t length = std::min<uint64_t>(part.size(), 2 + rng.below(5)),
                   begin = rng.below(part.size() - length + 1);
    part = Stroke(part.begin() + static_cast<std::ptrdiff_t>(begin),
                  part.begin() + static_cast<std::ptrdiff_t>(begin + length));
    const float half_height = clutter_half_height.draw(rng), half_width = clutter_half_width.draw(rng);
    const float softness = edge_softness.draw(rng), opacity = clutter_opacity.draw(rng);
    Glyph fragment = deform({part}, half_height, rng);
    const Point centre = draw_position(rng);
    move(fragment, centre.x, centre.y);
    canvas.draw(fragment, half_width, softness, draw_colour(rng), opacity);
  }
}

void draw_digit(Canvas& canvas, const std::vector<Glyph>& ways, Rng& rng) {
  const float half_width = digit_half_width.draw(rng), softness = edge_softness.draw(rng);
  const float half_height = digit_half_height.draw(rng);
  Glyph glyph = deform(ways[rng.below(ways.size())], half_height, rng);
  place_inside(glyph, 1.5F, rng);
  canvas.draw(glyph, half_width, softness, draw_ink(rng, canvas.ground()), 1.0F);
}

void draw_occlusion(Canvas& canvas, Rng& rng) {
  if (rng.uniform() >= occlusion_chance) return;
  const Point from = draw_position(rng), to = draw_position(rng);
  const float half_width = occlusion_half_width.draw(rng);
  canvas.draw(Stroke{from, to}, half_width, 1.0F, draw_colour(rng), 0.9F);
}

Dataset draw_set(std::string_view purpose, uint64_t seed, int64_t count) {
  if (count < 0) bad_input("glyphs: {} pictures: expected 0 or more", count);
  Dataset set{"glyphs", channels, side, side, {}, {}, {}};
  std::vector<std::vector<Glyph>> font;
  for (int digit = 0; digit < digits; ++digit) {
    set.class_names.push_back(std::to_string(digit));
    font.push_back(ways_to_write(digit));
  }
  set.labels.resize(static_cast<size_t>(count));
  set.pixels.resize(static_cast<size_t>(count * set.image_values()));
  kernels::parallel_chunks(count, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      Rng rng(seed, purpose, static_cast<uint64_t>(i));
      const auto digit = static_cast<size_t>(i % digits);
      Canvas canvas(rng);
      draw_blobs(canvas, rng);
      draw_clutter(canvas, font, rng);
      draw_digit(canvas, font[digit], rng);
      draw_occlusion(canvas, rng);
      canvas.write(noise_deviation.draw(rng), set.pixels.data() + i * set.image_values());
      set.labels[static_cast<size_t>(i)] = static_cast<int32_t>(digit);
    }
  });
  return set;
}

}  // namespace

Splits glyphs(uint64_t seed, double validation_share, GlyphCounts counts) {
  Dataset test = draw_set("glyphs-test", seed, counts.test);
  Splits splits = hold_out(draw_set("glyphs-train", seed, counts.train), std::move(test), seed, validation_share);
  splits.augmentation = {.crop = Augmentation::usual_crop};  // a mirrored digit is another shape
  return splits;
}

}  // namespace mixgrad::data
