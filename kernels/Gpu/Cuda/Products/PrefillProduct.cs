using ILGPU;
using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Cuda.Rows;
using Llama3Cluster.Kernels.Gpu.Cuda.Tiles;
using Llama3Cluster.Kernels.Gpu.Cuda.Weights;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Products;

/// <summary>
/// Products for many rows: bound by the tensor cores. A group of 8 warps computes 128 outputs by 128 rows, a warp 32 by 64. Activations come
/// through shared memory by asynchronous copies, two pairs of slabs ahead; weights go from global memory into registers, a pair ahead, and
/// are unpacked there.
/// </summary>
/// <remarks>
/// Every sum has the same order as in <see cref="DecodeProduct"/>: the same steps within a part, then parts from the first to the last. So a
/// row's result has the same bits, whichever kernel computes it.
/// </remarks>
internal static class PrefillProduct
{
    /// <summary>Threads of a group.</summary>
    public const int Threads = 256;

    /// <summary>Outputs of a group.</summary>
    public const int Outputs = 128;

    private const int RowGroups = ActivationLayout.PaddedRows / ActivationLayout.GroupRows;
    private const int SlabBytes = RowGroups * ActivationLayout.SlabBytes;
    private const int StageBytes = 2 * SlabBytes;
    private const int Stages = 3;

    /// <summary>Grid: x a group for every 128 rows, y one for every 128 outputs of every matrix.</summary>
    public static void Run<TFormat, TPacked, TScales>(ProductParameters parameters)
        where TFormat : struct, ITileFormat<TPacked, TScales>
        where TPacked : struct
        where TScales : struct
    {
        uint shared = Ptx.SharedMemory(Stages * StageBytes);
        int lane = Group.IdxX % 32, warp = Group.IdxX / 32;
        ProductTarget target = ProductParameters.TargetOf(parameters, Grid.IdxY);
        int firstOutput = ((Grid.IdxY - target.FirstGroup) * Outputs) + (warp % 4 * 2 * TileLayout.Rows);
        int rowTiles = (target.Outputs + TileLayout.Rows - 1) / TileLayout.Rows;

        // Warps beyond the last output compute it again, and store nothing.
        int low = IntrinsicMath.Min(firstOutput / TileLayout.Rows, rowTiles - 1), high = IntrinsicMath.Min(low + 1, rowTiles - 1);
        ulong lowTile = target.Weights + ((ulong)(uint)(low * parameters.Tiles) * (uint)TFormat.TileBytes);
        ulong highTile = target.Weights + ((ulong)(uint)(high * parameters.Tiles) * (uint)TFormat.TileBytes);

        // Of every stage this thread copies the same 16 bytes of four pieces: two groups of rows of two slabs.
        ulong copied = parameters.Activations
            + ((ulong)(uint)((Grid.IdxX * RowGroups) + (warp * 2)) * (ulong)(uint)(parameters.Tiles * ActivationLayout.TileBytes)) + (uint)(lane * 16);
        ulong nextGroup = (uint)(parameters.Tiles * ActivationLayout.TileBytes);
        uint copiedTo = shared + (uint)((warp * 2 * ActivationLayout.SlabBytes) + (lane * 16));
        uint read = shared + (uint)((warp / 4 * 8 * ActivationLayout.SlabBytes) + (lane * 16));

        int pairs = parameters.Tiles * TileLayout.Pairs, pairsPerPart = parameters.TilesPerPart * TileLayout.Pairs;
        CopyStage(copiedTo, copied, nextGroup);
        copied += 2 * ActivationLayout.SlabBytes;
        CopyStage(copiedTo + StageBytes, copied, nextGroup);
        copied += 2 * ActivationLayout.SlabBytes;

        TPacked nextLow = TFormat.Load(lowTile, 0, lane), nextHigh = TFormat.Load(highTile, 0, lane);
        TScales nextLowScales = TFormat.LoadScales(lowTile, lane), nextHighScales = TFormat.LoadScales(highTile, lane);
        WarpSums total = default;
        uint stage = 0;
        for (int part = 0; part < pairs; part += pairsPerPart)
        {
            WarpSums sums = default;
            int last = IntrinsicMath.Min(part + pairsPerPart, pairs);
            for (int i = part; i < last; i++)
            {
                PairRegisters wLow = TFormat.Unpack(nextLow, nextLowScales, i % TileLayout.Pairs);
                PairRegisters wHigh = TFormat.Unpack(nextHigh, nextHighScales, i % TileLayout.Pairs);

                // Past the end the last pair is loaded once more.
                int next = IntrinsicMath.Min(i + 1, pairs - 1);
                uint offset = (uint)(next / TileLayout.Pairs * TFormat.TileBytes);
                nextLow = TFormat.Load(lowTile + offset, next % TileLayout.Pairs, lane);
                nextHigh = TFormat.Load(highTile + offset, next % TileLayout.Pairs, lane);
                nextLowScales = TFormat.LoadScales(lowTile + offset, lane);
                nextHighScales = TFormat.LoadScales(highTile + offset, lane);

                // This pair's activations are there, for all threads; and all are done with the stage that is filled next.
                Ptx.WaitForCopies(1);
                Group.Barrier();
                uint filled = stage + (2 * StageBytes);
                if (filled >= Stages * StageBytes)
                    filled -= Stages * StageBytes;
                if (i + 2 < pairs)
                    CopyPieces(copiedTo + filled, copied, nextGroup);
                Ptx.CommitCopies();
                copied += 2 * ActivationLayout.SlabBytes;

                sums = MultiplySlab<TFormat, TPacked, TScales>(sums, wLow.S0, wLow.S1, wHigh.S0, wHigh.S1, read + stage);
                sums = MultiplySlab<TFormat, TPacked, TScales>(sums, wLow.S2, wLow.S3, wHigh.S2, wHigh.S3, read + stage + SlabBytes);
                stage += StageBytes;
                if (stage >= Stages * StageBytes)
                    stage = 0;
            }

            total = ProductSums.Add(total, sums);
        }

        int firstRow = (Grid.IdxX * ActivationLayout.PaddedRows) + (warp / 4 * 64);
        StorePiece(parameters, target, firstOutput, firstRow, lane, total.R0);
        StorePiece(parameters, target, firstOutput, firstRow + 8, lane, total.R1);
        StorePiece(parameters, target, firstOutput, firstRow + 16, lane, total.R2);
        StorePiece(parameters, target, firstOutput, firstRow + 24, lane, total.R3);
        StorePiece(parameters, target, firstOutput, firstRow + 32, lane, total.R4);
        StorePiece(parameters, target, firstOutput, firstRow + 40, lane, total.R5);
        StorePiece(parameters, target, firstOutput, firstRow + 48, lane, total.R6);
        StorePiece(parameters, target, firstOutput, firstRow + 56, lane, total.R7);
    }

    private static void CopyStage(uint to, ulong from, ulong nextGroup)
    {
        CopyPieces(to, from, nextGroup);
        Ptx.CommitCopies();
    }

    private static void CopyPieces(uint to, ulong from, ulong nextGroup)
    {
        Ptx.CopyAsync16(to, from);
        Ptx.CopyAsync16(to + ActivationLayout.SlabBytes, from + nextGroup);
        Ptx.CopyAsync16(to + SlabBytes, from + ActivationLayout.SlabBytes);
        Ptx.CopyAsync16(to + SlabBytes + ActivationLayout.SlabBytes, from + nextGroup + ActivationLayout.SlabBytes);
    }

    private static WarpSums MultiplySlab<TFormat, TPacked, TScales>(
        WarpSums sums, U4 low0, U4 low1, U4 high0, U4 high1, uint slab)
        where TFormat : struct, ITileFormat<TPacked, TScales>
        where TPacked : struct
        where TScales : struct
    {
        WarpSums result;
        result.R0 = MultiplyPiece<TFormat, TPacked, TScales>(sums.R0, low0, low1, high0, high1, slab);
        result.R1 = MultiplyPiece<TFormat, TPacked, TScales>(sums.R1, low0, low1, high0, high1, slab + ActivationLayout.SlabBytes);
        result.R2 = MultiplyPiece<TFormat, TPacked, TScales>(sums.R2, low0, low1, high0, high1, slab + (2 * ActivationLayout.SlabBytes));
        result.R3 = MultiplyPiece<TFormat, TPacked, TScales>(sums.R3, low0, low1, high0, high1, slab + (3 * ActivationLayout.SlabBytes));
        result.R4 = MultiplyPiece<TFormat, TPacked, TScales>(sums.R4, low0, low1, high0, high1, slab + (4 * ActivationLayout.SlabBytes));
        result.R5 = MultiplyPiece<TFormat, TPacked, TScales>(sums.R5, low0, low1, high0, high1, slab + (5 * ActivationLayout.SlabBytes));
        result.R6 = MultiplyPiece<TFormat, TPacked, TScales>(sums.R6, low0, low1, high0, high1, slab + (6 * ActivationLayout.SlabBytes));
        result.R7 = MultiplyPiece<TFormat, TPacked, TScales>(sums.R7, low0, low1, high0, high1, slab + (7 * ActivationLayout.SlabBytes));
        return result;
    }

    private static PieceSums MultiplyPiece<TFormat, TPacked, TScales>(
        PieceSums sums, U4 low0, U4 low1, U4 high0, U4 high1, uint piece)
        where TFormat : struct, ITileFormat<TPacked, TScales>
        where TPacked : struct
        where TScales : struct
    {
        U4 x = Ptx.LoadShared16(piece);
        PieceSums result;
        result.Low = TFormat.Multiply(TFormat.Multiply(sums.Low, low0, x.X, x.Y), low1, x.Z, x.W);
        result.High = TFormat.Multiply(TFormat.Multiply(sums.High, high0, x.X, x.Y), high1, x.Z, x.W);
        return result;
    }

    private static void StorePiece(ProductParameters parameters, ProductTarget target, int output, int row, int lane, PieceSums sums)
    {
        ProductOutput.Store(parameters, target, output, row, lane, sums.Low);
        ProductOutput.Store(parameters, target, output + TileLayout.Rows, row, lane, sums.High);
    }
}
