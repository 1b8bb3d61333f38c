// SPDX-License-Identifier: Apache-2.0
// Convolutions and linear layers in C: their constants, and the functions that a network's layers need.
#include "c_bits.h"
#include "c_depthwise.h"
#include "c_layers.h"
#include "c_runtime.h"
#include "c_sums.h"

#include <src/internal/c_context.h>
#include <src/internal/layer_sums.h>
#include <src/internal/memory_plan.h>
#include <src/internal/names.h>

#include <map>
#include <numeric>
#include <set>

namespace mixgrad::integer {
namespace {

using fmt::format;

/// How many times a layer's sums can be doubled so that, if the shifts that undo it become at least 33, the upper half
/// of a product is enough; 0 if they would not fit in 32 bits, or a shift would be the whole width of a register.
int doublings(const Layer& layer, const IntegerNode& input) {
  int least = 33, most_shift = 0;
  for (const FixedPoint& f : layer.ratios) {
    least = std::min(least, f.shift);
    most_shift = std::max(most_shift, f.shift);
  }
  const int up = 33 - least;
  if (up > 30 || most_shift + up > 63) return 0;
  const std::vector<int64_t> sums = largest_sums(layer, std::max(input.high, -input.low));
  const int64_t most = *std::ranges::max_element(sums);
  return most << up < int64_t{1} << 31 ? up : 0;
}

bool has_transposed(const IntegerNetwork& network) {
  return std::ranges::any_of(network.nodes, [](const IntegerNode& n) { return n.is_layer() && n.layer()->transposed; });
}

/// What the functions of a network's layers must be able to do.
struct Needs {
  std::set<Sums> sums;
  std::set<int> widths;
  bool doubled = false;
  bool apart, together = false;       ///< has layers whose inputs are apart, as in transposed convolutions; has others
  std::set<bool> patches, depthwise;  ///< of signed inputs, of unsigned ones
  bool depthwise_3x3 = false;
  int64_t kernel_rows = 1;       ///< the most of layers that run depthwise
  int64_t longest_patch = 0;     ///< of one position, in codes
  int64_t channels = 0;          ///< the most of an output
  std::map<int, bool> unpacked;  ///< widths of inputs whose codes share bytes, and whether any such are signed
  std::set<int> packed;          ///< widths of results whose codes share bytes

  explicit Needs(const IntegerNetwork& network) : apart(has_transposed(network)) {
    for (int i = 0; i < std::ssize(network.nodes); ++i) {
      const IntegerNode& node = network.nodes[static_cast<size_t>(i)];
      if (!node.is_layer()) continue;
      const Layer& layer = *node.layer();
      const int input_bits = stored_bits(network, node.inputs[0]), bits = stored_bits(network, i);
      if (bits < 8) packed.insert(bits);
      if (input_bits < 8) unpacked[input_bits] |= network.input_of(node).is_signed();
      doubled = doubled || doublings(layer, network.input_of(node)) > 0;
      if (runs_depthwise(layer)) {
        depthwise.insert(network.input_of(node).is_signed());
        depthwise_3x3 = depthwise_3x3 || (layer.size.kh == 3 && layer.size.kw == 3 && layer.size.dilation_w == 1);
        kernel_rows = std::max(kernel_rows, layer.size.kh);
        continue;
      }
      longest_patch = std::max(longest_patch, patch_bytes(layer) / patch_positions(layer) / device::patch_code_bytes);
      channels = std::max(channels, layer.size.c_out);
      together = together || !layer.transposed;
      patches.insert(network.input_of(node).is_signed());
      for (const ChannelBlock& b : channel_blocks(layer)) {
        sums.insert({b.bits, b.channels, patch_positions(layer)});
        widths.insert(b.bits);
      }
    }
  }
  bool narrow() const { return !widths.empty() && *widths.begin() < 8; }
};

std::string shifted(const char* how, int bits) { return bits == 0 ? "" : how + std::to_string(bits); }

/// codes_at for widths of codes, each with whether it must take signed ones.
std::string codes_at(const std::map<int, bool>& widths) {
  std::vector<std::string> loops;
  for (const auto& [bits, has_signed] : widths) {
    std::string lines;
    for (int k = 0; k < 8 / bits; ++k) {
      const std::string code = format("(byte{} & {})", shifted(" >> ", k * bits), (1 << bits) - 1);
      lines += format("      to[{}] = (uint8_t){};\n", k, has_signed ? format("(({} ^ top) - top)", code) : code);
    }
    loops.push_back(format(fmt::runtime(c_bits::unpack), bits, 8 / bits, lines));
  }
  const bool any_signed = std::ranges::any_of(widths, [](const auto& w) { return w.second; });
  return format(fmt::runtime(c_bits::codes_at), any_signed ? ", top = (kind & 1) << (bits - 1)" : "",
                fmt::join(loops, ""));
}

/// pack_codes for widths of codes.
std::string pack_codes(const std::set<int>& widths) {
  std::vector<std::string> loops;
  for (const int bits : widths) {
    std::vector<std::string> fields;
    for (int k = 0; k < 8 / bits; ++k)
      fields.push_back(format("(from[{}] & {}){}", k, (1 << bits) - 1, shifted(" << ", k * bits)));
    loops.push_back(format(fmt::runtime(c_bits::pack), bits, 8 / bits, fmt::join(fields, " | ")));
  }
  return format(fmt::runtime(c_bits::pack_codes), fmt::join(loops, ""));
}

std::string suffix(bool is_signed) { return is_signed ? "_signed" : ""; }

/// The lines of run_layer that call one of them.
std::string choice(const std::set<Sums>& all) {
  std::string out;
  for (const Sums& s : all) {
    const bool last = &s == &*all.rbegin();
    const std::string call = format("{}(w, patch, patch_end, sums + NET_TILE * (c - first));\n", s.name());
    out += "          ";
    if (&s != &*all.begin()) out += "else ";
    if (!last)
      out += format("if ((kind & 15) == {} && channels == {} && positions {} 1) ", s.bits, s.channels,
                    s.positions == 1 ? "==" : ">");
    out += call;
  }
  return out;
}

std::string input(const c_bits::Memory& memory, const char* at, const char* count) {
  return format(fmt::runtime(memory.input), at, count);
}

std::string gather_call(const Needs& needs, const c_bits::Memory& memory) {
  const auto call = [&](const char* function) {
    return format("{}in, position / l->out_w, position % l->out_w, group, patch + next * p, lanes{})", function,
                  memory.bytes_of);
  };
  const std::string together = call("gather(l, "), apart = call("gather_apart(l, apart_h, apart_w, ");
  if (!needs.apart) return together;
  return needs.together ? format("apart_h * apart_w > 1 ? {} : {}", apart, together) : apart;
}

void add_depthwise(std::vector<std::string>& out, const Needs& needs, const c_bits::Memory& memory) {
  out.push_back(format("#define NET_KERNEL_ROWS {}\n\n", needs.kernel_rows));
  out.emplace_back(c_depthwise::unpack);
  out.emplace_back(c_depthwise::sums_alone);
  if (needs.depthwise_3x3) out.push_back(sums_of_3x3());
  for (const bool is_signed : needs.depthwise) {
    const std::string any = "sums_alone(l, rows, x * l->stride_w, weights, sums + p, count);";
    const std::string sums = needs.depthwise_3x3
                                 ? format(
                                       "\n#ifdef NET_DSP\n"
                                       "        if (l->kernel_h == 3 && l->kernel_w == 3 && l->dilation_w == 1) {{\n"
                                       "          const int32_t from = x * l->stride_w * 4;\n"
                                       "          sums_3x3(rows[0] + from, rows[1] + from, rows[2] + from, weights, "
                                       "sums + p, sums + p + count,\n"
                                       "                   8 * l->stride_w);\n"
                                       "        }} else\n#endif\n        {{ {} }}",
                                       any)
                                 : any;
    out.push_back(format(fmt::runtime(c_depthwise::load_row), suffix(is_signed), is_signed ? "signed_" : "",
                         is_signed ? 1 : 0, memory.few_bytes, input(memory, "at", "4")));
    out.push_back(format(fmt::runtime(c_depthwise::run_depthwise), suffix(is_signed), sums, needs.narrow() ? " 0," : "",
                         memory.results, memory.alone, memory.target, memory.pack_alone));
  }
}

std::vector<std::string> layer_functions(const CContext& c) {
  const Needs needs(c.network);
  const bool shared = shares_bytes(c.network);
  const c_bits::Memory& memory = shared ? c_bits::of_bits : c_bits::of_bytes;
  std::vector<std::string> out = {c_runtime::read_code, c_runtime::rescale};
  if (shared) out = c.functions({Access::read, Access::write}, out);
  const auto of = [&](Machine machine) {
    std::string text;
    for (const int bits : needs.widths) text += sums_macros(machine, bits, needs.patches.contains(true));
    return text;
  };
  out.push_back(
      format(fmt::runtime(c_layers::pairs), of(Machine::dsp), of(Machine::few_registers), of(Machine::plain)));
  out.push_back(format(fmt::runtime(c_layers::layer_type), memory.kind));
  if (shared) {
    out.push_back(codes_at(needs.unpacked));
    out.push_back(pack_codes(needs.packed));
  }
  const c_layers::Mending& m = needs.narrow() ? c_layers::mended : c_layers::not_mended;
  out.push_back(format(fmt::runtime(c_layers::put_results), m.parameter, m.constants, m.sum, m.comment, m.vector,
                       needs.doubled ? " * doubled" : "",
                       needs.doubled ? "  const int32_t doubled = 1 << l->up;\n" : ""));
  if (!needs.patches.empty()) {
    const bool narrow = needs.narrow();
    const c_layers::AddingUp& up = narrow ? c_layers::added : c_layers::not_added;
    for (const bool is_signed : needs.patches) {
      const std::string vector = format(fmt::runtime(up.vector), is_signed ? "s" : "u");
      out.push_back(format(fmt::runtime(c_layers::put), up.type, up.declare, up.pairs, up.codes, up.code, up.result,
                           vector, up.operand, suffix(is_signed), is_signed ? "signed_" : "", is_signed ? 1 : 0));
    }
    const std::string function = needs.patches.size() == 2 ? format("({} ? put_signed : put)", memory.is_signed)
                                                           : "put" + suffix(needs.patches.contains(true));
    const auto gather = [&](const char* text, const char* at, const char* count) {
      out.push_back(format(fmt::runtime(text), up.type, up.declare, narrow ? "sum += " : "", up.result, function,
                           input(memory, at, count), memory.bytes));
    };
    if (needs.together) gather(c_layers::gather, "(iy * l->in_w + ix) * l->in_c + group * width", "run * width");
    if (needs.apart)
      gather(c_layers::gather_apart, "iy / apart_h * row + ix / apart_w * l->in_c + group * width", "width");
    for (const Sums& s : needs.sums) out.push_back(sums_function(s));
    out.push_back(format("#define NET_LONGEST_PATCH {}\n", needs.longest_patch));
    if (shared) out.push_back(format("#define NET_MOST_CHANNELS {}\n", needs.channels));
    out.push_back(format(fmt::runtime(c_layers::run_layer), choice(needs.sums), narrow ? ", totals[NET_TILE]" : "",
                         (narrow ? "totals[p] = " : "") + gather_call(needs, memory), narrow ? " totals + p," : "",
                         needs.apart ? "int32_t apart_h, int32_t apart_w, " : "", memory.buffers, memory.wide,
                         memory.row, memory.target, memory.pack));
  }
  if (!needs.depthwise.empty()) add_depthwise(out, needs, memory);
  return out;
}

constexpr int odd_flag = 16;

/// Where patches are signed bytes, they hold unsigned inputs less 128, so that sums lack 128 times the stored weights.
std::string bias_text(const CContext& c, const Layer& layer, size_t channel) {
  const int32_t bias = layer.bias.empty() ? 0 : layer.bias[channel];
  if (c.input().is_signed() || runs_depthwise(layer)) return c_literal(bias);
  const bool odd = layer.is_odd(static_cast<int64_t>(channel));
  const int bits = storage_bits(layer.weight_bits[channel]), offset = odd ? (1 << bits) - 1 : 1 << (bits - 1);
  const int64_t taps = layer.weights_per_channel();
  const auto first = layer.weights.begin() + static_cast<int64_t>(channel) * taps;
  const int64_t stored = std::accumulate(first, first + taps, bits == 8 ? 0 : offset * taps);
  return format("NET_BIAS({}, {})", c_literal(bias), 128 * stored);
}

std::string layer_table(const CContext& c, const Layer& layer) {
  const Conv2dSize& s = layer.size;
  const size_t i = c.index;
  const int up = doublings(layer, c.input());
  std::vector<std::string> scale;
  std::vector<int> shifts, bits;
  for (size_t o = 0; o < layer.ratios.size(); ++o) {
    const auto channel = static_cast<int64_t>(o);
    bits.push_back(storage_bits(layer.weight_bits[o]) + (layer.is_odd(channel) ? odd_flag : 0));
    scale.push_back(bias_text(c, layer, o));
    scale.push_back(std::to_string(layer.ratios[o].multiplier));
    shifts.push_back(layer.ratios[o].shift + up);
  }
  return format("/* {} */\n", c_comment(c.node().name)) + c_array("uint8_t", format("bits_{}", i), bits) +
         c_array("uint32_t", format("weights_{}", i), pack_weights(layer), "0x{:08x}u") +
         c_array("int32_t", format("scale_{}", i), scale) + c_array("uint8_t", format("shift_{}", i), shifts) +
         format(
             "static const layer layer_{0} NET_SECTION = {{{1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9}, {10}, {11}, "
             "{12}, {13}, "
             "{14}, {15}, {16}, {17}, {18}, {19},\n"
             "                              bits_{0}, weights_{0}, scale_{0}, shift_{0}}};\n\n",
             i, s.h, s.w, s.c_in, s.oh, s.ow, s.c_out, s.kh, s.kw, s.stride_h, s.stride_w, s.pad_top, s.pad_left,
             s.dilation_h, s.dilation_w, s.groups, c.input_kind() + (shares_bytes(c.network) ? c.kind() << 8 : 0),
             c_literal(c.node().low), c.node().high, up);
}

/// The network's first layer brings the functions of all. `apart`: how far the rows and columns that it reads are
/// apart.
CText text_of(const CContext& c, const Layer& layer, std::array<int64_t, 2> apart) {
  const LayerScratch scratch = scratch_of(c.network, static_cast<int>(c.index));
  const auto buffer = [&](int64_t bytes, int64_t at) {
    if (!shares_bytes(c.network)) return std::string();
    return bytes == 0 ? ", 0" : format(", (uint8_t *)arena + {}", c.arena.patches[c.index] + at);
  };
  const std::string bytes = buffer(scratch.unpacked, scratch.patch),
                    results = buffer(scratch.results, scratch.patch + scratch.unpacked);
  const std::string patch =
      format("({} *)(void *)(arena + {})", runs_depthwise(layer) ? "int16_t" : "operand", c.arena.patches[c.index] / 4);
  const std::string further = has_transposed(c.network) ? format("{}, {}, ", apart[0], apart[1]) : "";
  const int64_t positions = patch_positions(layer), codes = scratch.patch / positions / device::patch_code_bytes;
  const std::string call = runs_depthwise(layer)
                               ? format("run_depthwise{}(&layer_{}, {}, {}, {}{});", suffix(c.input().is_signed()),
                                        c.index, c.x(), patch, c.results(), results)
                               : format("run_layer(&layer_{}, {}{}, {}, {}, {}, {}{}{});", c.index, further, c.x(),
                                        patch, positions, codes, c.results(), bytes, results);
  const bool is_first = &*std::ranges::find_if(c.network.nodes, &IntegerNode::is_layer) == &c.node();
  return {.functions = is_first ? layer_functions(c) : std::vector<std::string>(),
          .table = layer_table(c, layer),
          .call = call};
}

}  // namespace

CText Layer::c_text(const CContext& c) const { return text_of(c, *this, {1, 1}); }

CText ConvTranspose2d::c_text(const CContext& c) const { return text_of(c, *this, attrs.stride); }

}  // namespace mixgrad::integer
