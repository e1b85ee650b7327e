using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Tiles;

/// <summary>
/// Small whole numbers as half-precision numbers: the bits 0x6400 above a value v below 1024 make 1024 + v, from which 1024 (and an offset)
/// is then subtracted, exactly.
/// </summary>
internal static class Nibbles
{
    private const uint Nibble = 0x000F000F;
    private const uint Thousand = 0x64006400;

    /// <summary>1024 + value for a step's eight nibbles.</summary>
    public static U4 Lift(uint word)
    {
        U4 lifted;
        lifted.X = Ptx.AndOr(word, Nibble, Thousand);
        lifted.Y = Ptx.AndOr(word >> 4, Nibble, Thousand);
        lifted.Z = Ptx.AndOr(word >> 8, Nibble, Thousand);
        lifted.W = Ptx.AndOr(word >> 12, Nibble, Thousand);
        return lifted;
    }

    /// <summary>(lifted - offset) scale, with a scale for the lane's low row and one for its high row.</summary>
    public static U4 Scale(U4 lifted, uint offset, uint lowScale, uint highScale)
    {
        U4 weights;
        weights.X = Ptx.MultiplyHalves(Ptx.SubtractHalves(lifted.X, offset), lowScale);
        weights.Y = Ptx.MultiplyHalves(Ptx.SubtractHalves(lifted.Y, offset), highScale);
        weights.Z = Ptx.MultiplyHalves(Ptx.SubtractHalves(lifted.Z, offset), lowScale);
        weights.W = Ptx.MultiplyHalves(Ptx.SubtractHalves(lifted.W, offset), highScale);
        return weights;
    }

    /// <summary>(lifted - 1024) scale + shift.</summary>
    public static U4 ScaleAndShift(U4 lifted, KPairScales scales)
    {
        U4 weights;
        weights.X = Ptx.FmaHalves(Ptx.SubtractHalves(lifted.X, Thousand), scales.LowScale, scales.LowShift);
        weights.Y = Ptx.FmaHalves(Ptx.SubtractHalves(lifted.Y, Thousand), scales.HighScale, scales.HighShift);
        weights.Z = Ptx.FmaHalves(Ptx.SubtractHalves(lifted.Z, Thousand), scales.LowScale, scales.LowShift);
        weights.W = Ptx.FmaHalves(Ptx.SubtractHalves(lifted.W, Thousand), scales.HighScale, scales.HighShift);
        return weights;
    }
}
