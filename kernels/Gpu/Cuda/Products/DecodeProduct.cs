using ILGPU;
using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Cuda.Rows;
using Llama3Cluster.Kernels.Gpu.Cuda.Tiles;
using Llama3Cluster.Kernels.Gpu.Cuda.Weights;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Products;

/// <summary>
/// Products for up to 16 rows: bound by reading the weights once. A group of 8 warps computes 16 outputs; each warp sums one part of the
/// columns, straight from global memory into the tensor cores' registers, and the parts are added in order.
/// </summary>
internal static class DecodeProduct
{
    /// <summary>Threads of a group.</summary>
    public const int Threads = TileLayout.MaxParts * 32;

    /// <summary>Most rows.</summary>
    public const int MaxRows = 2 * ActivationLayout.GroupRows;

    private const int PartBytes = 32 * 16;
    private const int AllPartsBytes = TileLayout.MaxParts * PartBytes;

    /// <summary>Grid: a group for every 16 outputs of every matrix.</summary>
    public static void Run<TFormat, TPacked, TScales, TRows>(ProductParameters parameters)
        where TFormat : struct, ITileFormat<TPacked, TScales>
        where TPacked : struct
        where TScales : struct
        where TRows : struct, IRowGroups
    {
        uint shared = Ptx.SharedMemory(2 * AllPartsBytes);
        int lane = Group.IdxX % 32, part = Group.IdxX / 32;
        ProductTarget target = ProductParameters.TargetOf(parameters, Grid.IdxX);
        int rowTile = Grid.IdxX - target.FirstGroup;
        int first = part * parameters.TilesPerPart, last = IntrinsicMath.Min(first + parameters.TilesPerPart, parameters.Tiles);

        DecodeRows rows;
        rows.Low = parameters.Activations + (ulong)(uint)((first * ActivationLayout.TileBytes) + (lane * 16));
        rows.High = rows.Low + (ulong)(uint)(parameters.Tiles * ActivationLayout.TileBytes);
        rows.HoldsLow = lane / 4 < parameters.Rows ? 1u : 0u;
        rows.HoldsHigh = lane / 4 < parameters.Rows - ActivationLayout.GroupRows ? 1u : 0u;
        ulong tile = target.Weights + ((ulong)(uint)((rowTile * parameters.Tiles) + first) * (uint)TFormat.TileBytes);

        PieceSums sums = default;
        for (int i = first; i < last; i++)
        {
            TScales scales = TFormat.LoadScales(tile, lane);
            TPacked w0 = TFormat.Load(tile, 0, lane), w1 = TFormat.Load(tile, 1, lane);
            TPacked w2 = TFormat.Load(tile, 2, lane), w3 = TFormat.Load(tile, 3, lane);
            sums = MultiplyPair<TFormat, TPacked, TScales, TRows>(sums, w0, scales, 0, rows);
            sums = MultiplyPair<TFormat, TPacked, TScales, TRows>(sums, w1, scales, 1, rows);
            sums = MultiplyPair<TFormat, TPacked, TScales, TRows>(sums, w2, scales, 2, rows);
            sums = MultiplyPair<TFormat, TPacked, TScales, TRows>(sums, w3, scales, 3, rows);
            tile += (uint)TFormat.TileBytes;
            rows.Low += ActivationLayout.TileBytes;
            rows.High += ActivationLayout.TileBytes;
        }

        Ptx.StoreShared(shared + (uint)(Group.IdxX * 16), sums.Low);
        if (TRows.Second)
            Ptx.StoreShared(shared + (uint)(AllPartsBytes + (Group.IdxX * 16)), sums.High);
        Group.Barrier();
        if (part == 0)
            StoreTotal(parameters, target, rowTile, 0, lane, shared);
        if (TRows.Second && part == 1)
            StoreTotal(parameters, target, rowTile, ActivationLayout.GroupRows, lane, shared + AllPartsBytes);
    }

    private static PieceSums MultiplyPair<TFormat, TPacked, TScales, TRows>(
        PieceSums sums, TPacked packed, TScales scales, int pair, DecodeRows rows)
        where TFormat : struct, ITileFormat<TPacked, TScales>
        where TPacked : struct
        where TScales : struct
        where TRows : struct, IRowGroups
    {
        PairRegisters weights = TFormat.Unpack(packed, scales, pair);
        uint offset = (uint)(pair * 2 * ActivationLayout.SlabBytes);
        PieceSums result;
        result.Low = MultiplySlabs<TFormat, TPacked, TScales>(sums.Low, weights, rows.Low + offset, rows.HoldsLow);
        result.High = sums.High;
        if (TRows.Second)
            result.High = MultiplySlabs<TFormat, TPacked, TScales>(sums.High, weights, rows.High + offset, rows.HoldsHigh);
        return result;
    }

    private static Sums MultiplySlabs<TFormat, TPacked, TScales>(Sums sums, PairRegisters weights, ulong activations, uint holds)
        where TFormat : struct, ITileFormat<TPacked, TScales>
        where TPacked : struct
        where TScales : struct
    {
        U4 first = Ptx.Load16If(activations, holds), second = Ptx.Load16If(activations + ActivationLayout.SlabBytes, holds);
        Sums result = TFormat.Multiply(sums, weights.S0, first.X, first.Y);
        result = TFormat.Multiply(result, weights.S1, first.Z, first.W);
        result = TFormat.Multiply(result, weights.S2, second.X, second.Y);
        return TFormat.Multiply(result, weights.S3, second.Z, second.W);
    }

    // Adds the parts from the first to the last that has columns.
    private static void StoreTotal(ProductParameters parameters, ProductTarget target, int rowTile, int firstRow, int lane, uint shared)
    {
        Sums total = default;
        int parts = (parameters.Tiles + parameters.TilesPerPart - 1) / parameters.TilesPerPart;
        for (int part = 0; part < parts; part++)
            total = ProductSums.Add(total, Ptx.LoadSharedFloats(shared + (uint)((part * PartBytes) + (lane * 16))));
        ProductOutput.Store(parameters, target, rowTile * TileLayout.Rows, firstRow, lane, total);
    }

    // A lane's activations: of its row among the first 8, and among the next 8; absent ones are zeros.
    private struct DecodeRows
    {
        public ulong Low;
        public ulong High;
        public uint HoldsLow;
        public uint HoldsHigh;
    }
}
