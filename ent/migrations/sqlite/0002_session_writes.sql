-- +goose Up

ALTER TABLE `sessions` ADD COLUMN `writes` integer NOT NULL DEFAULT 0;
